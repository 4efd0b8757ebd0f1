// SPDX-License-Identifier: Apache-2.0
//
// What a primary may call itself: never better than it is.
#include <gtest/gtest.h>

#include "vm/judgement.h"

namespace tripod {
namespace {

using vm::BackupView;
using vm::PrimaryView;

BackupView sound_backup() {
    BackupView view;
    view.established = view.peer.alive = view.peer.board_up = view.peer.log_up = true;
    return view;
}

ReplicaStatus judged(const BackupView& view) {
    ReplicaStatus status;
    vm::judge_backup(view, status);
    return status;
}

TEST(Judgement, ABackupIsOkOnlyIfItCanTakeOver) {
    EXPECT_EQ(judged(sound_backup()).state, ReplicaState::ok);
    EXPECT_FALSE(judged(sound_backup()).reason);

    auto view = sound_backup();
    view.established = false;
    EXPECT_EQ(judged(view).state, ReplicaState::syncing);
    view = sound_backup();
    view.peer.alive = false;
    view.peer.cannot_lead = true;
    EXPECT_EQ(judged(view).state, ReplicaState::dead);
    view = sound_backup();
    view.peer.replaced = true;
    EXPECT_EQ(judged(view).state, ReplicaState::dead);
    view = sound_backup();
    view.peer.cannot_lead = true;
    EXPECT_EQ(judged(view).state, ReplicaState::lost) << "even if no word of it ever came";
    EXPECT_TRUE(judged(view).reason);
    view.divergence = "record 7";
    EXPECT_EQ(judged(view).state, ReplicaState::diverged);
    EXPECT_EQ(judged(view).reason, "record 7");
    view = sound_backup();
    view.peer.lagging = true;
    EXPECT_EQ(judged(view).state, ReplicaState::lost);
    EXPECT_EQ(judged(view).reason, "lagging beyond the log");
    view = sound_backup();
    view.peer.log_up = false;
    EXPECT_EQ(judged(view).state, ReplicaState::catching_up);
}

std::vector<ReplicaStatus> backups(std::initializer_list<ReplicaState> states) {
    std::vector<ReplicaStatus> all;
    for (const auto state : states) {
        auto& backup = all.emplace_back();
        backup.host = "h" + std::to_string(all.size() + 1);
        backup.state = state;
    }
    return all;
}

TEST(Judgement, ProtectedIsSaidOnlyWhenAllIsWell) {
    const PrimaryView sound{true, true, true, {}};
    const auto both = backups({ReplicaState::ok, ReplicaState::ok});
    std::string why = "old";
    EXPECT_EQ(vm::judge_primary(sound, both, why), VmState::protected_);
    EXPECT_EQ(why, "");

    const auto not_protected = [&](const PrimaryView& view, const std::vector<ReplicaStatus>& others,
                                   VmState state) {
        why.clear();
        EXPECT_EQ(vm::judge_primary(view, others, why), state);
        EXPECT_EQ(why.empty(), state == VmState::protecting);
    };
    not_protected({false, true, true, {}}, both, VmState::protecting);
    not_protected({true, false, true, {}}, both, VmState::stalled);
    not_protected({true, true, false, {}}, both, VmState::stalled);
    not_protected({true, true, true, "a call that cannot be logged"}, both, VmState::broken);
    not_protected({true, false, false, "a call that cannot be logged"}, both, VmState::broken);
    not_protected(sound, backups({ReplicaState::dead, ReplicaState::dead}), VmState::stalled);
    for (const auto state : {ReplicaState::syncing, ReplicaState::catching_up, ReplicaState::diverged,
                             ReplicaState::lost, ReplicaState::dead, ReplicaState::isolated}) {
        not_protected(sound, backups({ReplicaState::ok, state}), VmState::degraded);
        EXPECT_NE(why.find("h3 is "), std::string::npos) << why;
    }
    not_protected(sound, backups({ReplicaState::lost, ReplicaState::dead}), VmState::degraded);
    EXPECT_EQ(why, "no backup can take over: h2 is lost, h3 is dead");
    not_protected(sound, {}, VmState::degraded);
}

} // namespace
} // namespace tripod
