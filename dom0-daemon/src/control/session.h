// SPDX-License-Identifier: Apache-2.0
//
// One client of the control server: its request, and what is streamed back while the service works on it.
#pragma once

#include <atomic>
#include <chrono>

#include "control/request.h"
#include "control/service.h"
#include "wire/frame_stream.h"

namespace tripod::control {

struct SessionTimes {
    std::chrono::milliseconds request, send;
};

// Receives one request, has `service` do it and sends the answer. Returns when all is sent or the client is lost.
// `stopping` is the server's: true makes the work see cancelled().
void run_session(wire::FrameStream& stream, Service& service, const std::atomic<bool>& stopping,
                 SessionTimes times);

} // namespace tripod::control
