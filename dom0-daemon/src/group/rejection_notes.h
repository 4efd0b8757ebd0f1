// SPDX-License-Identifier: Apache-2.0
//
// Which of the connections that were turned away an admin should hear of. A peer with a wrong key comes back five
// times a second, and a stranger as often as it likes: one note per reason and host is enough, and no more than a
// few hosts.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <utility>

#include <rdma_paxos/tcp_rendezvous.h>

namespace tripod::group {

class RejectionNotes {
  public:
    static constexpr std::chrono::nanoseconds interval = std::chrono::minutes(10); // between two alike
    static constexpr std::size_t kinds_max = 16;                                   // within that time

    bool worth_telling(const rdma_paxos::RejectionReport& report, std::chrono::nanoseconds now) {
        using rdma_paxos::Rejection;
        // While a group is founded its members come at different times; one that has died is told of by the group.
        if (report.reason == Rejection::wrong_group || report.they_say == Rejection::wrong_group ||
            report.reason == Rejection::lost)
            return false;
        std::erase_if(told_, [&](const auto& each) { return now - each.second >= interval; });
        return told_.size() < kinds_max && told_.try_emplace({report.reason, report.host}, now).second;
    }

  private:
    std::map<std::pair<rdma_paxos::Rejection, std::string>, std::chrono::nanoseconds> told_;
};

} // namespace tripod::group
