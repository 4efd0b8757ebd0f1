// SPDX-License-Identifier: Apache-2.0
//
// Makes records by hand, as Xen would lay them out.
#pragma once

#include <cstring>
#include <string_view>
#include <vector>

#include "public/tripod.h"

namespace tripod::testing {

class RecordBuilder {
  public:
    RecordBuilder(std::uint16_t nr, std::uint16_t call_class, std::int32_t fd, std::int64_t result) {
        header.type = TRIPOD_REC_call;
        header.nr = nr;
        header.seq = 1;
        header.time_ns = 5'000'000'000;
        header.tid = 231;
        header.tgid = 230;
        header.fd = fd;
        header.call_class = call_class;
        header.result = result;
        header.arg[0] = static_cast<std::uint64_t>(fd);
    }
    RecordBuilder& args(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
        header.arg[0] = a;
        header.arg[1] = b;
        header.arg[2] = c;
        return *this;
    }
    RecordBuilder& segment(std::uint16_t kind, std::uint16_t arg, const void* data, std::size_t size) {
        const tripod_segment s{kind, arg, static_cast<std::uint32_t>(size)};
        append(&s, sizeof s);
        append(data, size);
        payload_.resize((payload_.size() + 7) / 8 * 8);
        header.segments++;
        return *this;
    }
    RecordBuilder& segment(std::uint16_t kind, std::uint16_t arg, std::string_view data) {
        return segment(kind, arg, data.data(), data.size());
    }
    std::vector<std::byte> build() {
        header.size = static_cast<std::uint32_t>(sizeof header + payload_.size());
        std::vector<std::byte> out(header.size);
        std::memcpy(out.data(), &header, sizeof header);
        if (!payload_.empty())
            std::memcpy(out.data() + sizeof header, payload_.data(), payload_.size());
        return out;
    }

    tripod_record header{};

  private:
    void append(const void* data, std::size_t size) {
        const auto* bytes = static_cast<const std::byte*>(data);
        payload_.insert(payload_.end(), bytes, bytes + size);
    }
    std::vector<std::byte> payload_;
};

} // namespace tripod::testing
