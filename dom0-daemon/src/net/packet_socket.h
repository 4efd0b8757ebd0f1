// SPDX-License-Identifier: Apache-2.0
//
// One AF_PACKET socket on one interface: sends whole frames and sees those that pass there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"
#include "net/packet.h"

namespace tripod::net {

class PacketSocket {
  public:
    enum class Receive { everything, arp, nothing };

    /**
     * Needs CAP_NET_RAW. The interface stays as it is; `everything` and `arp` turn on promiscuous mode while the
     * socket is open. Frames sent by this socket are not received by it.
     */
    static Result<PacketSocket> open(const std::string& interface, Receive receive);

    const std::string& interface() const { return interface_; }
    MacAddress mac() const { return mac_; }
    int fd() const { return fd_.get(); }

    /** Never blocks. False when the frame could not be queued (interface down, queue full): networks lose frames.
     */
    bool send(FrameView frame);

    struct Received {
        FrameView frame; ///< valid until the next call
        bool outgoing;   ///< sent by this machine out of the interface, not received on it
    };
    /** Never blocks; nothing when there is none. */
    std::optional<Received> receive();

  private:
    PacketSocket() = default;

    UniqueFd fd_;
    std::string interface_;
    MacAddress mac_;
    Frame buffer_;
};

} // namespace tripod::net
