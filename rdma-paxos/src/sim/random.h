// SPDX-License-Identifier: Apache-2.0
//
// The simulation's only source of chance. Same seed, same draws; a stream of its own for each purpose, so that what
// one part draws does not change what another one meets.
#pragma once

#include "rdma_paxos/types.h"

namespace rdma_paxos::sim {

class Random {
  public:
    explicit Random(std::uint64_t seed) : state_(seed) { (void)next(); }

    std::uint64_t next() { // splitmix64
        state_ += 0x9e3779b97f4a7c15u;
        std::uint64_t value = state_;
        value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
        value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
        return value ^ (value >> 31);
    }

    /// 0 .. below-1; 0 if below is 0.
    std::uint64_t draw(std::uint64_t below) {
        __extension__ using Wide = unsigned __int128;
        return static_cast<std::uint64_t>((Wide(next()) * below) >> 64);
    }

    bool chance(double probability) { return unit() < probability; }
    double unit() { return double(next() >> 11) * 0x1p-53; }

    Nanoseconds between(Nanoseconds low, Nanoseconds high) {
        return low +
               Nanoseconds(static_cast<std::int64_t>(draw(static_cast<std::uint64_t>((high - low).count()) + 1)));
    }

    /// Between the two, each order of magnitude as likely as any other.
    Nanoseconds any_scale(Nanoseconds low, Nanoseconds high);

    /// An independent stream; the same for the same seed and purpose.
    static Random stream(std::uint64_t seed, std::uint64_t purpose) {
        return Random(Random(seed).next() ^ Random(~purpose).next());
    }

  private:
    std::uint64_t state_;
};

} // namespace rdma_paxos::sim
