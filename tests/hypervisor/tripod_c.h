// SPDX-License-Identifier: GPL-2.0-only
/** The hypervisor's own header, for C++. */
#pragma once

extern "C" {
#include <tripod/internal.h>
}
