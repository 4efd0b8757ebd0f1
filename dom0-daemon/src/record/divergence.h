// SPDX-License-Identifier: Apache-2.0
//
// How a replica strayed from the log, in words.
#pragma once

#include <cstdint>
#include <string>

namespace tripod::record {

// The numbers of struct tripod_divergence; `reason` is an enum tripod_reason. "" where nothing strayed.
std::string divergence_text(uint64_t seq, uint32_t tid, uint16_t nr, uint32_t reason, uint64_t expected,
                            uint64_t found);

} // namespace tripod::record
