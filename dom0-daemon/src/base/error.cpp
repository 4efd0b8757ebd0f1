// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

namespace tripod {

const char* error_code_name(ErrorCode code) {
    switch (code) {
    case ErrorCode::other:
        return "other";
    case ErrorCode::no_such_vm:
        return "no-such-vm";
    case ErrorCode::daemon_not_running:
        return "daemon-not-running";
    case ErrorCode::already_protected:
        return "already-protected";
    case ErrorCode::backup_unreachable:
        return "backup-unreachable";
    case ErrorCode::backup_refused:
        return "backup-refused";
    case ErrorCode::unsupported_guest:
        return "unsupported-guest";
    case ErrorCode::not_protected:
        return "not-protected";
    case ErrorCode::host_unfit:
        return "host-unfit";
    case ErrorCode::not_now:
        return "not-now";
    case ErrorCode::bad_backups:
        return "bad-backups";
    case ErrorCode::permission:
        return "permission";
    case ErrorCode::bad_config:
        return "bad-config";
    case ErrorCode::protocol:
        return "protocol";
    case ErrorCode::timed_out:
        return "timed-out";
    case ErrorCode::cancelled:
        return "cancelled";
    }
    return "other";
}

const char* error_code_meaning(ErrorCode code) {
    switch (code) {
    case ErrorCode::other:
        return "wrong usage, or a failure without a code of its own";
    case ErrorCode::no_such_vm:
        return "no VM of that name or domid on this host";
    case ErrorCode::daemon_not_running:
        return "tripodd does not run on this host";
    case ErrorCode::already_protected:
        return "the VM is protected already";
    case ErrorCode::backup_unreachable:
        return "a backup host does not answer";
    case ErrorCode::backup_refused:
        return "a backup host refused: no patched Xen, another interface version, no room, no such bridge";
    case ErrorCode::unsupported_guest:
        return "this guest cannot be protected: HVM or PVH, 32-bit, more than one vCPU, kernel without a profile, "
               "a disk, a vif without a Linux bridge";
    case ErrorCode::not_protected:
        return "the VM is not protected";
    case ErrorCode::host_unfit:
        return "this host cannot protect VMs: no patched Xen, another interface version, no RDMA device";
    case ErrorCode::not_now:
        return "not possible at the moment: another operation runs, or no majority or no fit backup is left";
    case ErrorCode::bad_backups:
        return "the list of backup hosts makes no sense: this host itself, one twice, or too many";
    case ErrorCode::permission:
        return "only root may do this";
    case ErrorCode::bad_config:
        return "the configuration file has a mistake";
    case ErrorCode::protocol:
        return "command and daemon, or two daemons, do not understand each other";
    case ErrorCode::timed_out:
        return "not done in time; what was begun is undone";
    case ErrorCode::cancelled:
        return "cancelled by the client or by the daemon's end";
    }
    return "unknown";
}

ErrorCode error_code_from_number(long number) {
    const bool known = number == 1 || (number >= static_cast<long>(ErrorCode::no_such_vm) &&
                                       number <= static_cast<long>(ErrorCode::cancelled));
    return known ? static_cast<ErrorCode>(number) : ErrorCode::other;
}

} // namespace tripod
