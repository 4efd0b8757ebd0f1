// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/connection.h"

#include <fmt/format.h>

namespace rdma_paxos {

const char* to_string(Rejection reason) {
    switch (reason) {
    case Rejection::malformed:
        return "malformed";
    case Rejection::wrong_version:
        return "wrong version";
    case Rejection::wrong_key:
        return "wrong key";
    case Rejection::wrong_group:
        return "wrong group";
    case Rejection::unknown_peer:
        return "unknown peer";
    case Rejection::reflected:
        return "reflected";
    case Rejection::replayed:
        return "replayed";
    case Rejection::tampered:
        return "tampered";
    case Rejection::silent:
        return "silent";
    case Rejection::lost:
        return "lost";
    case Rejection::crowded_out:
        return "crowded out";
    case Rejection::refused:
        return "refused";
    }
    return "?";
}

namespace {

const char* sentence(Rejection reason) {
    switch (reason) {
    case Rejection::malformed:
        return "sent what is no rendezvous message, or not the one that was due";
    case Rejection::wrong_version:
        return "speaks another version of the rendezvous protocol";
    case Rejection::wrong_key:
        return "does not know the cluster key";
    case Rejection::wrong_group:
        return "asks for a group that is not here";
    case Rejection::unknown_peer:
        return "is not a member of the group that it asks for";
    case Rejection::reflected:
        return "sent back what was said to it";
    case Rejection::replayed:
        return "repeated the beginning of an earlier conversation";
    case Rejection::tampered:
        return "sent a message whose seal is broken";
    case Rejection::silent:
        return "did not prove that it knows the cluster key in time";
    case Rejection::lost:
        return "is silent";
    case Rejection::crowded_out:
        return "had to make room for newer connections";
    case Rejection::refused:
        return "refused this replica";
    }
    return "?";
}

} // namespace

std::string describe(Rejection reason, const TcpAddress& address, const std::string& detail) {
    return fmt::format("peer {} {}{}{}", to_string(address), sentence(reason), detail.empty() ? "" : ": ", detail);
}

} // namespace rdma_paxos
