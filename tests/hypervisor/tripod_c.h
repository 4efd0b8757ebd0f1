// SPDX-License-Identifier: GPL-2.0-only
/** The hypervisor's own header, for C++. */
#pragma once

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wshadow"
extern "C" {
#include <tripod/internal.h>
}
#pragma GCC diagnostic pop
