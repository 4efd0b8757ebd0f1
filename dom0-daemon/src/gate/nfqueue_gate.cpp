// SPDX-License-Identifier: Apache-2.0
#include "gate/nfqueue_gate.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <sys/socket.h>

// C headers that do not say so.
extern "C" {
#include <libnetfilter_queue/libnetfilter_queue.h>
}

#include <rdma_paxos/clock.h>

#include "base/log.h"

namespace tripod::gate {

namespace {

// For the notes of queue_frames_max frames; the kernel counts about 1 KiB for each.
constexpr int receive_buffer_bytes = 64 << 20;
constexpr size_t note_bytes_max = 512; // of one frame: without its content
constexpr unsigned notes_at_once = 64;

tl::unexpected<Error> failed(const std::string& what) {
    return fail(ErrorCode::host_unfit, what + ": " + std::strerror(errno),
                "the kernel needs nfnetlink_queue, nft_queue and nft_meta_bridge (modprobe)");
}

class NfqueueGate final : public Gate {
  public:
    NfqueueGate(mnl_socket* socket, uint16_t queue) : socket_(socket), queue_(queue) {
        for (unsigned i = 0; i < notes_at_once; ++i) {
            parts_[i] = {notes_[i].data(), notes_[i].size()};
            messages_[i].msg_hdr = {};
            messages_[i].msg_hdr.msg_iov = &parts_[i];
            messages_[i].msg_hdr.msg_iovlen = 1;
        }
    }
    ~NfqueueGate() override { discard(); }
    NfqueueGate(const NfqueueGate&) = delete;
    NfqueueGate& operator=(const NfqueueGate&) = delete;

    Result<void> listen() {
        const int bytes = receive_buffer_bytes, yes = 1;
        // Without CAP_NET_ADMIN for the first: as much as the system allows.
        if (setsockopt(fd(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
            setsockopt(fd(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
        // A note that is lost belongs to a frame that is dropped: nobody needs to be told.
        setsockopt(fd(), SOL_NETLINK, NETLINK_NO_ENOBUFS, &yes, sizeof yes);

        nlmsghdr* message = begin(NFQNL_MSG_CONFIG);
        message->nlmsg_flags |= NLM_F_ACK;
        nfq_nlmsg_cfg_put_cmd(message, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
        if (auto done = acknowledged(message); !done)
            return done;
        message = begin(NFQNL_MSG_CONFIG);
        message->nlmsg_flags |= NLM_F_ACK;
        nfq_nlmsg_cfg_put_params(message, NFQNL_COPY_META, 0);
        mnl_attr_put_u32(message, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_GSO)); // large segments stay whole
        mnl_attr_put_u32(message, NFQA_CFG_MASK, htonl(NFQA_CFG_F_GSO | NFQA_CFG_F_FAIL_OPEN));
        nfq_nlmsg_cfg_put_qmaxlen(message, queue_frames_max);
        return acknowledged(message);
    }

    // -1 is nothing to poll for.
    int fd() const override { return socket_ == nullptr ? -1 : mnl_socket_get_fd(socket_); }

    uint64_t collect() override {
        if (socket_ == nullptr)
            return newest_;
        while (true) {
            const int count = recvmmsg(fd(), messages_.data(), notes_at_once, MSG_DONTWAIT, nullptr);
            if (count <= 0)
                return newest_;
            for (int i = 0; i < count; ++i)
                mnl_cb_run(notes_[i].data(), messages_[i].msg_len, 0, 0, &NfqueueGate::on_frame, this);
            if (count < static_cast<int>(notes_at_once))
                return newest_;
        }
    }

    bool release(uint64_t frame, Nanoseconds deadline) override {
        if (socket_ == nullptr)
            return false;
        nlmsghdr* message = begin(NFQNL_MSG_VERDICT_BATCH);
        nfq_nlmsg_verdict_put(message, static_cast<int>(static_cast<uint32_t>(frame)), NF_ACCEPT);
        if (deadline != no_deadline && rdma_paxos::monotonic_now() >= deadline)
            return false;
        // ENOENT: the frames have gone with their interface.
        if (mnl_socket_sendto(socket_, message, message->nlmsg_len) < 0 && errno != ENOENT) {
            log::error("queue {}: releasing frames: {}", queue_, std::strerror(errno));
            return false;
        }
        return true;
    }

    // The kernel drops the frames of a queue whose listener has gone.
    void discard() override {
        if (socket_ != nullptr)
            mnl_socket_close(socket_);
        socket_ = nullptr;
    }

  private:
    nlmsghdr* begin(uint8_t type) { return nfq_nlmsg_put(request_.data(), type, queue_); }

    Result<void> acknowledged(nlmsghdr* message) {
        std::array<char, 4096> answer;
        const unsigned sequence = message->nlmsg_seq;
        if (mnl_socket_sendto(socket_, message, message->nlmsg_len) < 0)
            return failed("cannot open packet queue " + std::to_string(queue_));
        while (true) {
            const auto bytes = mnl_socket_recvfrom(socket_, answer.data(), answer.size());
            if (bytes < 0)
                return failed("cannot open packet queue " + std::to_string(queue_));
            // Frames may come before the answer.
            const auto* first = reinterpret_cast<const nlmsghdr*>(answer.data());
            if (first->nlmsg_type != NLMSG_ERROR) {
                mnl_cb_run(answer.data(), static_cast<size_t>(bytes), 0, 0, &NfqueueGate::on_frame, this);
                continue;
            }
            if (mnl_cb_run(answer.data(), static_cast<size_t>(bytes), sequence, 0, nullptr, nullptr) < 0)
                return failed("cannot open packet queue " + std::to_string(queue_));
            return {};
        }
    }

    static int on_frame(const nlmsghdr* message, void* self) {
        std::array<nlattr*, NFQA_MAX + 1> attributes{};
        if (nfq_nlmsg_parse(message, attributes.data()) < 0 || attributes[NFQA_PACKET_HDR] == nullptr)
            return MNL_CB_OK;
        nfqnl_msg_packet_hdr header;
        std::memcpy(&header, mnl_attr_get_payload(attributes[NFQA_PACKET_HDR]), sizeof header);
        auto& newest = static_cast<NfqueueGate*>(self)->newest_;
        // The kernel's number has 32 bits, and only grows.
        newest += static_cast<uint32_t>(ntohl(header.packet_id) - static_cast<uint32_t>(newest));
        return MNL_CB_OK;
    }

    mnl_socket* socket_;
    const uint16_t queue_;
    uint64_t newest_ = 0;
    std::array<char, 512> request_;
    std::array<std::array<char, note_bytes_max>, notes_at_once> notes_;
    std::array<iovec, notes_at_once> parts_;
    std::array<mmsghdr, notes_at_once> messages_{};
};

} // namespace

Result<std::unique_ptr<Gate>> open_nfqueue_gate(uint16_t queue) {
    mnl_socket* socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
    if (socket == nullptr)
        return failed("cannot open netlink for packet queues");
    auto gate = std::make_unique<NfqueueGate>(socket, queue);
    if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
        return failed("cannot open netlink for packet queues");
    if (auto listens = gate->listen(); !listens)
        return tl::unexpected(listens.error());
    return gate;
}

} // namespace tripod::gate
