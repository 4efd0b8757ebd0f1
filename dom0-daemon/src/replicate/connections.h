// SPDX-License-Identifier: Apache-2.0
//
// The protected VM's open network connections, as its records tell them: whom to reset at a failover.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include <public/tripod.h>

#include "record/record_view.h"

namespace tripod::replicate {

struct Connection {
    tripod_socket socket{};
    // It was open when protection began, so a backup's guest kernel has it too, stale. Later ones it never saw.
    bool preexisting = false;
};

// One per replica, fed with every record in order. One thread.
class ConnectionTable {
  public:
    void apply(const record::RecordView& record);
    std::vector<Connection> open() const;
    size_t size() const { return by_descriptor_.size(); }

  private:
    using Key = std::pair<uint32_t, int32_t>; // process, descriptor
    std::map<Key, Connection> by_descriptor_;
};

} // namespace tripod::replicate
