// SPDX-License-Identifier: Apache-2.0
#include "peer/state_codec.h"

#include <cstdlib>
#include <cstring>

#include <lz4.h>
#include <xxhash.h>

namespace tripod::peer {

namespace {

struct ChunkHeader {
    uint64_t number;
    uint32_t raw_bytes;
    uint32_t zero;
};
static_assert(sizeof(ChunkHeader) == 16);

} // namespace

class StreamDigest {
  public:
    StreamDigest() : state_(XXH64_createState()) { XXH64_reset(state_, 0); }
    ~StreamDigest() { XXH64_freeState(state_); }
    StreamDigest(const StreamDigest&) = delete;
    StreamDigest& operator=(const StreamDigest&) = delete;
    void update(std::span<const std::byte> bytes) { XXH64_update(state_, bytes.data(), bytes.size()); }
    uint64_t value() const { return XXH64_digest(state_); }

  private:
    XXH64_state_t* state_;
};

StateEncoder::StateEncoder() : digest_(std::make_unique<StreamDigest>()) {}
StateEncoder::~StateEncoder() = default;

std::span<const std::byte> StateEncoder::encode(std::span<const std::byte> piece) {
    if (piece.empty() || piece.size() > chunk_raw_max)
        std::abort();
    const int size = static_cast<int>(piece.size());
    const int bound = LZ4_compressBound(size);
    body_.resize(sizeof(ChunkHeader) + static_cast<size_t>(bound));
    const ChunkHeader header{totals_.chunks, static_cast<uint32_t>(piece.size()), 0};
    std::memcpy(body_.data(), &header, sizeof header);
    const int packed = LZ4_compress_default(reinterpret_cast<const char*>(piece.data()),
                                            reinterpret_cast<char*>(body_.data() + sizeof header), size, bound);
    if (packed <= 0)
        std::abort(); // cannot happen with room for the bound
    digest_->update(piece);
    totals_.raw_bytes += piece.size();
    ++totals_.chunks;
    return std::span(body_).first(sizeof header + static_cast<size_t>(packed));
}

StateEnd StateEncoder::finish() const {
    StateEnd end = totals_;
    end.digest = digest_->value();
    return end;
}

StateDecoder::StateDecoder() : digest_(std::make_unique<StreamDigest>()) {}
StateDecoder::~StateDecoder() = default;

Result<std::span<const std::byte>> StateDecoder::decode(std::span<const std::byte> body) {
    ChunkHeader header;
    if (body.size() < sizeof header)
        return fail(ErrorCode::protocol, "a state chunk without its header");
    std::memcpy(&header, body.data(), sizeof header);
    if (header.number != totals_.chunks || header.raw_bytes == 0 || header.raw_bytes > chunk_raw_max ||
        header.zero != 0)
        return fail(ErrorCode::protocol, "state chunk " + std::to_string(header.number) + " of " +
                                             std::to_string(header.raw_bytes) + " bytes where chunk " +
                                             std::to_string(totals_.chunks) + " belongs");
    piece_.resize(header.raw_bytes);
    const int got = LZ4_decompress_safe(
        reinterpret_cast<const char*>(body.data() + sizeof header), reinterpret_cast<char*>(piece_.data()),
        static_cast<int>(body.size() - sizeof header), static_cast<int>(piece_.size()));
    if (got < 0 || static_cast<uint32_t>(got) != header.raw_bytes)
        return fail(ErrorCode::protocol, "state chunk " + std::to_string(header.number) + " does not decompress");
    digest_->update(piece_);
    totals_.raw_bytes += piece_.size();
    ++totals_.chunks;
    return std::span<const std::byte>(piece_);
}

Result<void> StateDecoder::finish(const StateEnd& end) const {
    if (end.raw_bytes != totals_.raw_bytes || end.chunks != totals_.chunks || end.digest != digest_->value())
        return fail(ErrorCode::protocol,
                    "the state stream does not match its digest: " + std::to_string(totals_.raw_bytes) + " of " +
                        std::to_string(end.raw_bytes) + " bytes arrived");
    return {};
}

} // namespace tripod::peer
