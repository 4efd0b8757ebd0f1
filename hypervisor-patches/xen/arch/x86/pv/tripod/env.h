/* SPDX-License-Identifier: GPL-2.0-only */
/* What this folder uses of Xen. The user-space harness has a header with the same names. */
#ifndef TRIPOD_ENV_H
#define TRIPOD_ENV_H

#include <xen/domain_page.h>
#include <xen/errno.h>
#include <xen/event.h>
#include <xen/guest_access.h>
#include <xen/lib.h>
#include <xen/mm.h>
#include <xen/sched.h>
#include <xen/softirq.h>
#include <xen/spinlock.h>
#include <xen/timer.h>
#include <xen/tripod.h>
#include <xen/types.h>
#include <xen/xxhash.h>
#include <asm/current.h>
#include <asm/domain.h>

#include <public/tripod.h>

#endif
