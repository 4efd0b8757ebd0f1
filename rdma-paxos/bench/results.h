// SPDX-License-Identifier: Apache-2.0
//
// Results as JSON (schema 3; times in microseconds), and as text.
#pragma once

#include "../bench/failover.h"
#include "../bench/series.h"

#include <nlohmann/json.hpp>

namespace rdma_paxos::bench {

/// p50, p99, p99.9, count, and `quantiles`: pairs of per cent and value, for drawing.
nlohmann::json to_json(const Latencies& latencies);
nlohmann::json to_json(const LatencyRow& row);
nlohmann::json to_json(const ThroughputRow& row);
nlohmann::json to_json(const CostRow& row);
nlohmann::json to_json(const Failover& failover);
const char* to_string(WaitMode mode);

/// What has been measured, in words.
std::string names_of(const nlohmann::json& document);

void print(const nlohmann::json& document);

} // namespace rdma_paxos::bench
