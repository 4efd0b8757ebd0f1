// SPDX-License-Identifier: Apache-2.0
#include "writer.h"

#include <chrono>
#include <fmt/format.h>
#include <optional>
#include <random>
#include <thread>

namespace drill {

namespace {

constexpr std::chrono::milliseconds reconnect_pause{20};

class Writer {
  public:
    Writer(const Endpoint& endpoint, const WriterPlan& plan, Progress& progress)
        : endpoint_(endpoint), plan_(plan), progress_(progress), random_(std::random_device{}()) {}

    Ledger run(const std::atomic<bool>& stop) {
        while (!stop) {
            if (!connection_ && !connect())
                continue;
            perform(next());
        }
        return std::move(ledger_);
    }

  private:
    bool connect() {
        auto opened = RedisConnection::open(endpoint_);
        if (!opened) {
            ledger_.disconnections.connect_failures++;
            std::this_thread::sleep_for(reconnect_pause);
            return false;
        }
        connection_.emplace(std::move(*opened));
        return true;
    }

    Write next() {
        const std::int64_t n = number_++;
        Write write;
        if (n % 4 == 3) {
            const int counter = static_cast<int>(n / 4 % (own_counters + 1));
            write.kind = Kind::incr;
            write.key = counter < own_counters ? own_counter_key(plan_, counter) : shared_counter_key(plan_.run);
        } else {
            write.kind = Kind::set;
            write.key = fmt::format("{}:{}:{}", plan_.run, plan_.connection, n);
            write.value = fmt::format("{}-{:016x}", n, random_());
        }
        return write;
    }

    void perform(Write write) {
        using Steady = std::chrono::steady_clock;
        write.sent = now_realtime();
        const auto started = Steady::now();
        const auto reply = write.kind == Kind::set ? connection_->call({"SET", write.key, write.value})
                                                   : connection_->call({"INCR", write.key});
        if (!reply) {
            write.outcome = Outcome::unknown;
            progress_.unknown++;
            note(reply.error());
            connection_.reset();
        } else if (reply->type == Reply::Type::error) {
            write.outcome = Outcome::refused;
        } else {
            write.outcome = Outcome::acknowledged;
            write.answered = now_realtime();
            write.latency = std::chrono::duration_cast<std::chrono::nanoseconds>(Steady::now() - started).count();
            write.counted = reply->integer;
            progress_.acknowledged++;
            progress_.last_answer = write.answered;
        }
        ledger_.writes.push_back(std::move(write));
    }

    void note(Broken broken) {
        switch (broken) {
        case Broken::timeout:
            ledger_.disconnections.timeouts++;
            break;
        case Broken::closed:
            ledger_.disconnections.closed++;
            break;
        default:
            ledger_.disconnections.resets++;
            break;
        }
    }

    Endpoint endpoint_;
    WriterPlan plan_;
    Progress& progress_;
    std::mt19937_64 random_;
    std::optional<RedisConnection> connection_;
    std::int64_t number_ = 0;
    Ledger ledger_;
};

} // namespace

std::string own_counter_key(const WriterPlan& plan, int counter) {
    return fmt::format("{}:{}:counter{}", plan.run, plan.connection, counter);
}

std::string shared_counter_key(const std::string& run) {
    return run + ":counter";
}

Nanoseconds now_realtime() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

Ledger write_until(const std::atomic<bool>& stop, const Endpoint& endpoint, const WriterPlan& plan,
                   Progress& progress) {
    return Writer(endpoint, plan, progress).run(stop);
}

} // namespace drill
