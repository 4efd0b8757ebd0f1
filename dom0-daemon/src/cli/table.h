// SPDX-License-Identifier: Apache-2.0
//
// The service's structures as tables and text for people, in xl's columns.
#pragma once

#include <string>
#include <vector>

#include "control/service.h"

namespace tripod::cli {

// `tripod list`: a heading and one line per replica.
std::string list_table(const std::vector<VmStatus>& vms);
// `tripod status`: one fact a line, then backups and events.
std::string status_text(const VmStatus& status);
std::string info_text(const InfoReply& info);

} // namespace tripod::cli
