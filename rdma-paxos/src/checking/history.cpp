// SPDX-License-Identifier: Apache-2.0
#include "checking/history.h"

#include <charconv>
#include <fmt/format.h>
#include <map>
#include <sstream>

namespace rdma_paxos::checking {

namespace {

std::string outcome(const Operation& op, std::uint64_t value) {
    return op.returned == never ? "-" : std::to_string(value);
}

/// Reads the words of one line; bad() once one of them was not what it should be.
class Words {
  public:
    explicit Words(const std::string& line) : stream_(line) {}

    std::string word() {
        std::string text;
        bad_ = !(stream_ >> text) || bad_;
        return text;
    }
    std::uint64_t number() { return parse(word()); }
    /// "-": none.
    std::optional<std::uint64_t> outcome() {
        const std::string text = word();
        return text == "-" ? std::nullopt : std::optional(parse(text));
    }
    bool complete() {
        std::string more;
        return !bad_ && !(stream_ >> more);
    }

  private:
    std::uint64_t parse(const std::string& text) {
        std::uint64_t value = 0;
        const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
        bad_ = bad_ || result.ec != std::errc() || result.ptr != text.data() + text.size();
        return value;
    }
    std::istringstream stream_;
    bool bad_ = false;
};

std::optional<Record> parse(const std::string& line) {
    Words words(line);
    Record record;
    Operation& op = record.operation;
    op.client = static_cast<std::uint32_t>(words.number());
    record.key = static_cast<std::uint32_t>(words.number());
    const std::string kind = words.word();
    std::optional<std::uint64_t> found;
    if (kind == "read" || kind == "lease-read") {
        record.lease = kind == "lease-read";
        op.kind = OperationKind::read;
        found = words.outcome();
    } else if (kind == "write") {
        op.kind = OperationKind::write;
        op.argument = words.number();
    } else if (kind == "compare-and-set") {
        op.kind = OperationKind::compare_and_set;
        op.expected = words.number();
        op.argument = words.number();
        found = words.outcome();
    } else
        return std::nullopt;
    op.invoked = Nanoseconds(words.number());
    const auto returned = words.outcome();
    if (!words.complete() || (op.kind != OperationKind::write && found.has_value() != returned.has_value()))
        return std::nullopt;
    op.result = found.value_or(0);
    op.returned = returned ? Nanoseconds(*returned) : never;
    return record;
}

} // namespace

std::string to_line(const Record& record) {
    const Operation& op = record.operation;
    std::string what;
    switch (op.kind) {
    case OperationKind::read:
        what = fmt::format("{} {}", record.lease ? "lease-read" : "read", outcome(op, op.result));
        break;
    case OperationKind::write:
        what = fmt::format("write {}", op.argument);
        break;
    case OperationKind::compare_and_set:
        what = fmt::format("compare-and-set {} {} {}", op.expected, op.argument, outcome(op, op.result));
        break;
    }
    return fmt::format("{} {} {} {} {}", op.client, record.key, what, op.invoked.count(),
                       op.returned == never ? "-" : std::to_string(op.returned.count()));
}

tl::expected<std::vector<Record>, Error> read_history(std::istream& in) {
    std::string line;
    if (!std::getline(in, line) || line != history_title)
        return tl::make_unexpected(Error{fmt::format("line 1 is not \"{}\"", history_title)});
    std::vector<Record> records;
    for (std::size_t number = 2; std::getline(in, line); ++number) {
        const auto record = parse(line);
        if (!record)
            return tl::make_unexpected(Error{fmt::format("line {} is no operation: {}", number, line)});
        records.push_back(*record);
    }
    return records;
}

std::optional<std::string> check_history(std::span<const Record> records) {
    std::map<std::uint32_t, std::vector<Operation>> registers;
    for (const Record& record : records)
        registers[record.key].push_back(record.operation);
    for (const auto& [key, operations] : registers)
        if (const auto complaint = check_register(operations))
            return fmt::format("register {}: {}", key, *complaint);
    return std::nullopt;
}

} // namespace rdma_paxos::checking
