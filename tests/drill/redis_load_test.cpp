// SPDX-License-Identifier: Apache-2.0
//
// redis-load against a real redis-server that is killed, paused, emptied or tampered with.
#include "idle_connections.h"
#include "read_back.h"
#include "redis_server.h"
#include "statistics.h"
#include "verdict.h"
#include "writer.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace drill {
namespace {

using namespace std::chrono_literals;

class Load : public ::testing::Test {
  protected:
    // Writes for a while with some connections, and does `meanwhile` in between.
    template <typename Meanwhile>
    void write_while(Meanwhile meanwhile, int connections = 3) {
        std::atomic<bool> stop{false};
        ledgers_.assign(static_cast<std::size_t>(connections), {});
        std::vector<std::thread> threads;
        threads.reserve(ledgers_.size());
        const Nanoseconds start = now_realtime();
        for (int i = 0; i < connections; i++)
            threads.emplace_back([&, i] {
                ledgers_[static_cast<std::size_t>(i)] = write_until(stop, server_.endpoint(), {"t", i}, progress_);
            });
        std::this_thread::sleep_for(300ms);
        meanwhile();
        std::this_thread::sleep_for(300ms);
        stop = true;
        for (auto& thread : threads)
            thread.join();
        statistics_ = summarize(ledgers_, start, now_realtime());
    }

    Verdict verdict() {
        const auto contents = read_back(server_.endpoint(), keys_of(ledgers_), 5s);
        EXPECT_TRUE(contents);
        return judge(ledgers_, contents.value_or(Contents{}));
    }

    Disconnections disconnections() const {
        Disconnections sum;
        for (const auto& ledger : ledgers_)
            sum += ledger.disconnections;
        return sum;
    }

    RedisServer server_;
    Progress progress_;
    std::vector<Ledger> ledgers_;
    Statistics statistics_;
};

TEST_F(Load, UndisturbedServerLosesNothing) {
    write_while([] {});
    EXPECT_GT(statistics_.acknowledged, 100);
    EXPECT_EQ(statistics_.unknown, 0);
    EXPECT_EQ(progress_.acknowledged, statistics_.acknowledged);
    EXPECT_TRUE(verdict().clean()) << verdict().examples.front();
    EXPECT_EQ(disconnections().reconnects(), 0);
}

TEST_F(Load, ServerThatForgetsIsFoundOut) {
    write_while([&] {
        server_.kill();
        std::this_thread::sleep_for(400ms);
        server_.start();
    });
    const auto result = verdict();
    EXPECT_GT(result.lost, 0);
    EXPECT_GE(statistics_.longest_gap.end - statistics_.longest_gap.start, 400'000'000);
    EXPECT_TRUE(statistics_.longest_gap.ended);
    // Every connection came back by itself.
    for (const auto& ledger : ledgers_) {
        EXPECT_GE(ledger.disconnections.reconnects(), 1);
        EXPECT_EQ(ledger.writes.back().outcome, Outcome::acknowledged);
    }
    EXPECT_GT(disconnections().resets + disconnections().closed, 0);
    EXPECT_GT(disconnections().connect_failures, 0);
}

TEST_F(Load, PausedServerMakesRequestsUnknownAndLosesNothing) {
    write_while([&] {
        server_.pause();
        std::this_thread::sleep_for(800ms);
        server_.resume();
    });
    EXPECT_GT(statistics_.unknown, 0);
    EXPECT_GT(disconnections().timeouts, 0);
    EXPECT_EQ(disconnections().resets, 0);
    EXPECT_TRUE(verdict().clean()) << verdict().examples.front();
}

TEST_F(Load, TamperingIsFoundOut) {
    write_while([] {});
    server_.call({"SET", "t:0:0", "tampered"});
    server_.call({"DEL", "t:1:0"});
    server_.call({"INCRBY", own_counter_key({"t", 2}, 0), "2"});
    const auto result = verdict();
    EXPECT_EQ(result.wrong, 1);
    EXPECT_EQ(result.lost, 1);
    EXPECT_EQ(result.duplicated, 2);
}

class Idle : public ::testing::Test {
  protected:
    template <typename Meanwhile>
    std::vector<IdleConnection> watch_while(Meanwhile meanwhile) {
        std::atomic<bool> stop{false}, ready{false};
        tl::expected<std::vector<IdleConnection>, Broken> result;
        std::thread thread([&] { result = watch_idle(stop, ready, server_.endpoint(), "t", 4, 300ms); });
        while (!ready)
            std::this_thread::sleep_for(1ms);
        meanwhile();
        std::this_thread::sleep_for(200ms);
        stop = true;
        thread.join();
        EXPECT_TRUE(result);
        return result.value_or(std::vector<IdleConnection>{});
    }

    static int count(const std::vector<IdleConnection>& all, IdleOutcome outcome) {
        return static_cast<int>(
            std::count_if(all.begin(), all.end(), [&](const auto& one) { return one.outcome == outcome; }));
    }

    RedisServer server_;
};

TEST_F(Idle, ConnectionsToALivingServerWork) {
    EXPECT_EQ(count(watch_while([] {}), IdleOutcome::works), 4);
}

TEST_F(Idle, EndOfTheServerIsSeenWithoutSending) {
    const auto all = watch_while([&] { server_.kill(); });
    EXPECT_EQ(count(all, IdleOutcome::closed) + count(all, IdleOutcome::reset), 4);
    for (const auto& one : all)
        EXPECT_TRUE(one.by_itself);
}

TEST_F(Idle, ConnectionsThatHangAreHalfAlive) {
    const auto all = watch_while([&] { server_.pause(); });
    EXPECT_EQ(count(all, IdleOutcome::half_alive), 4);
    server_.resume();
}

// The program itself: its report and its exit status.
class Program : public ::testing::Test {
  protected:
    int run(const std::string& options) {
        const auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
        report_ =
            std::filesystem::temp_directory_path() / ("redis-load-test-" + std::to_string(getpid()) + ".json");
        const std::string command = (folder / "redis-load").string() + " -p " +
                                    std::to_string(server_.endpoint().port) + " -o " + report_.string() + " " +
                                    options + " 2> /dev/null";
        const int status = std::system(command.c_str());
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }

    nlohmann::json report() {
        std::ifstream file(report_);
        return nlohmann::json::parse(file);
    }

    void TearDown() override { std::filesystem::remove(report_); }

    RedisServer server_;
    std::filesystem::path report_;
};

TEST_F(Program, ReportsACleanRun) {
    EXPECT_EQ(run("-s 0.5 -c 2 --idle-connections 2"), 0);
    const auto result = report();
    EXPECT_TRUE(result["verified"].get<bool>());
    EXPECT_GT(result["acknowledged"].get<int>(), 50);
    EXPECT_EQ(result["lost"], 0);
    EXPECT_EQ(result["idle"].size(), 2U);
    EXPECT_EQ(result["per_connection"].size(), 2U);
}

TEST_F(Program, BadVerdictIsAnExitStatus) {
    std::thread forget([&] {
        std::this_thread::sleep_for(300ms);
        server_.call({"FLUSHALL"});
    });
    EXPECT_EQ(run("-s 0.6"), 4);
    forget.join();
    EXPECT_GT(report()["lost"].get<int>(), 0);
}

TEST_F(Program, ServerGoneAtTheEndIsNoSuccess) {
    std::thread end([&] {
        std::this_thread::sleep_for(300ms);
        server_.kill();
    });
    EXPECT_EQ(run("-s 0.6 --verify-seconds 0.5"), 3);
    end.join();
    EXPECT_FALSE(report()["verified"].get<bool>());
}

TEST_F(Program, NoServerAtTheStartIsAnError) {
    server_.kill();
    EXPECT_EQ(run("-s 0.2"), 1);
}

} // namespace
} // namespace drill
