// SPDX-License-Identifier: Apache-2.0
//
// The order of the Noise pattern NNpsk0 with a third message, built from BLAKE2b with the cluster key as its key (a
// PRF), X25519 and ChaCha20-Poly1305. Every PRF input begins with a label of its own, so that no output can stand
// in for another, and ends with all that was said before.
#include "rendezvous/key_handshake.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <sodium.h>

namespace rdma_paxos {

namespace {

// Labels carry the version: another version of these rules is another set of functions.
constexpr const char* label_hello = "rdma-paxos 3 hello";
constexpr const char* label_transcript = "rdma-paxos 3 transcript";
constexpr const char* label_answer = "rdma-paxos 3 answer";
constexpr const char* label_confirm = "rdma-paxos 3 confirm";
constexpr const char* label_to_listener = "rdma-paxos 3 dialler to listener";
constexpr const char* label_to_dialler = "rdma-paxos 3 listener to dialler";
constexpr std::size_t label_bytes = 32;

constexpr std::size_t key_at = frame_header_bytes;
constexpr std::size_t proof_at = key_at + public_key_bytes;

void need_sodium() {
    static const bool ready = sodium_init() >= 0; // the first caller's job, from any thread
    if (!ready)
        std::abort();
}

const std::uint8_t* raw(const std::byte* bytes) {
    return reinterpret_cast<const std::uint8_t*>(bytes);
}
std::uint8_t* raw(std::byte* bytes) {
    return reinterpret_cast<std::uint8_t*>(bytes);
}

/// BLAKE2b-256(key; label, padded with zeros to 32 bytes | parts...).
void digest(Bytes key, const char* label, std::initializer_list<Bytes> parts, std::uint8_t* out) {
    need_sodium();
    std::array<std::uint8_t, label_bytes> padded{};
    std::memcpy(padded.data(), label, std::strlen(label));
    crypto_generichash_state state;
    crypto_generichash_init(&state, key.empty() ? nullptr : raw(key.data()), key.size(), proof_bytes);
    crypto_generichash_update(&state, padded.data(), padded.size());
    for (const Bytes part : parts)
        crypto_generichash_update(&state, raw(part.data()), part.size());
    crypto_generichash_final(&state, out, proof_bytes);
    sodium_memzero(&state, sizeof state);
}

Hash hello_proof(const ClusterKey& key, Bytes hello) {
    Hash proof;
    digest(key.secret(), label_hello, {hello.first(proof_at)}, raw(proof.data()));
    return proof;
}

bool equal(const Hash& expected, Bytes proof) {
    return proof.size() == expected.size() &&
           crypto_verify_32(raw(expected.data()), raw(proof.data())) == 0; // in constant time
}

/// What both ends know after the answer's ephemeral key.
struct Agreement {
    Hash answer_proof{}, confirm_proof{};
    Secret to_listener, to_dialler;
};

/// None if the peer's public key is one of those that make every secret the same.
std::optional<Agreement> agree(const ClusterKey& key, const Ephemeral& own, Bytes peer_key, Bytes hello,
                               Bytes answer) {
    Secret shared;
    if (crypto_scalarmult(shared.data(), own.secret.data(), raw(peer_key.data())) != 0)
        return std::nullopt;
    // The hello with its proof, the answer up to where its own proof goes.
    Hash transcript;
    digest({}, label_transcript, {hello, answer.first(proof_at)}, raw(transcript.data()));
    const Bytes secret(reinterpret_cast<const std::byte*>(shared.data()), Secret::size());
    Agreement made;
    digest(key.secret(), label_answer, {secret, transcript}, raw(made.answer_proof.data()));
    digest(key.secret(), label_confirm, {secret, transcript}, raw(made.confirm_proof.data()));
    digest(key.secret(), label_to_listener, {secret, transcript}, made.to_listener.data());
    digest(key.secret(), label_to_dialler, {secret, transcript}, made.to_dialler.data());
    return made;
}

void append(std::vector<std::byte>& to, Bytes bytes) {
    to.insert(to.end(), bytes.begin(), bytes.end());
}

bool same_parties(const FrameHeader& a, const FrameHeader& b) {
    return a.group == b.group && a.from == b.from && a.to == b.to;
}

FrameHeader turned(const FrameHeader& header, FrameType type) {
    return {type, header.group, header.to, header.from};
}

std::array<std::uint8_t, crypto_aead_chacha20poly1305_ietf_NPUBBYTES> nonce_of(std::uint64_t counter) {
    std::array<std::uint8_t, crypto_aead_chacha20poly1305_ietf_NPUBBYTES> nonce{};
    std::memcpy(nonce.data(), &counter, sizeof counter);
    return nonce;
}

} // namespace

static_assert(seal_bytes == crypto_aead_chacha20poly1305_ietf_ABYTES);
static_assert(Secret::size() == crypto_aead_chacha20poly1305_ietf_KEYBYTES);
static_assert(public_key_bytes == crypto_scalarmult_BYTES);

Secret::~Secret() {
    sodium_memzero(bytes_.data(), bytes_.size());
}

Ephemeral Ephemeral::make() {
    need_sodium();
    Ephemeral made;
    randombytes_buf(made.secret.data(), Secret::size());
    crypto_scalarmult_base(raw(made.open.data()), made.secret.data());
    return made;
}

// The header goes in clear, since the reader needs it first, but under the seal.
std::vector<std::byte> Session::seal(const FrameHeader& header, const RendezvousMessage& message) {
    std::vector<std::byte> bytes = encode_header(header);
    const std::vector<std::byte> offer = encode_offer(message);
    bytes.resize(frame_header_bytes + offer_bytes + seal_bytes);
    const auto nonce = nonce_of(sent_++);
    crypto_aead_chacha20poly1305_ietf_encrypt(raw(bytes.data() + frame_header_bytes), nullptr, raw(offer.data()),
                                              offer.size(), raw(bytes.data()), frame_header_bytes, nullptr,
                                              nonce.data(), sending_.data());
    return bytes;
}

std::optional<RendezvousMessage> Session::open(const Frame& frame) {
    std::array<std::byte, offer_bytes> offer;
    const auto nonce = nonce_of(received_++);
    const Bytes sealed = frame.body();
    if (frame.header.type != FrameType::offer ||
        crypto_aead_chacha20poly1305_ietf_decrypt(raw(offer.data()), nullptr, nullptr, raw(sealed.data()),
                                                  sealed.size(), raw(frame.bytes.data()), frame_header_bytes,
                                                  nonce.data(), receiving_.data()) != 0)
        return std::nullopt;
    return decode_offer(offer);
}

Dialler::Dialler(const ClusterKey& key, const GroupId& group, ReplicaId self, ReplicaId peer)
    : key_(key), header_{FrameType::hello, group, self, peer}, ephemeral_(Ephemeral::make()),
      hello_(encode_header(header_)) {
    append(hello_, ephemeral_.open);
    append(hello_, hello_proof(key_, hello_));
}

tl::expected<Dialler::Proved, Rejection> Dialler::take_answer(const Frame& frame) const {
    if (frame.header.type == FrameType::hello)
        return tl::make_unexpected(Rejection::reflected);
    if (frame.header.type != FrameType::answer || !same_parties(frame.header, turned(header_, FrameType::answer)))
        return tl::make_unexpected(Rejection::malformed);
    const Bytes answer = frame.bytes;
    const auto agreed = agree(key_, ephemeral_, answer.subspan(key_at, public_key_bytes), hello_, answer);
    if (!agreed)
        return tl::make_unexpected(Rejection::malformed);
    // An answer that was recorded with another hello fails here too: this end cannot tell it from a wrong key.
    if (!equal(agreed->answer_proof, answer.subspan(proof_at)))
        return tl::make_unexpected(Rejection::wrong_key);
    FrameHeader header = header_;
    header.type = FrameType::confirm;
    Proved proved{Session(agreed->to_listener, agreed->to_dialler), encode_header(header)};
    append(proved.confirm, agreed->confirm_proof);
    return proved;
}

tl::expected<void, Rejection> Acceptor::check_hello(const ClusterKey& key, const Frame& frame) {
    if (frame.header.type != FrameType::hello)
        return tl::make_unexpected(Rejection::malformed);
    if (!equal(hello_proof(key, frame.bytes), Bytes(frame.bytes).subspan(proof_at)))
        return tl::make_unexpected(Rejection::wrong_key);
    return {};
}

tl::expected<Acceptor, Rejection> Acceptor::accept_hello(const ClusterKey& key, const Frame& frame) {
    Acceptor acceptor;
    acceptor.header_ = frame.header;
    const Ephemeral ephemeral = Ephemeral::make();
    acceptor.answer_ = encode_header(turned(frame.header, FrameType::answer));
    append(acceptor.answer_, ephemeral.open);
    const auto agreed =
        agree(key, ephemeral, Bytes(frame.bytes).subspan(key_at, public_key_bytes), frame.bytes, acceptor.answer_);
    if (!agreed)
        return tl::make_unexpected(Rejection::malformed);
    append(acceptor.answer_, agreed->answer_proof);
    acceptor.expected_confirm_ = agreed->confirm_proof;
    acceptor.sending_ = agreed->to_dialler;
    acceptor.receiving_ = agreed->to_listener;
    return acceptor;
}

tl::expected<Session, Rejection> Acceptor::take_confirm(const Frame& frame) const {
    if (frame.header.type == FrameType::answer)
        return tl::make_unexpected(Rejection::reflected);
    if (frame.header.type != FrameType::confirm || !same_parties(frame.header, header_))
        return tl::make_unexpected(Rejection::malformed);
    // The hello was made with the cluster key, the confirmation was not made with it for this answer: somebody
    // recorded the one, and could not make the other.
    if (!equal(expected_confirm_, frame.body()))
        return tl::make_unexpected(Rejection::replayed);
    return Session(sending_, receiving_);
}

std::vector<std::byte> encode_refusal(const FrameHeader& to_whom, Rejection reason) {
    std::vector<std::byte> bytes = encode_header(turned(to_whom, FrameType::refusal));
    std::array<std::byte, body_bytes(FrameType::refusal)> body{};
    body[0] = static_cast<std::byte>(reason);
    append(bytes, body);
    return bytes;
}

std::optional<Rejection> decode_refusal(const Frame& frame) {
    const auto reason = static_cast<Rejection>(frame.body()[0]);
    switch (reason) {
    case Rejection::wrong_version:
    case Rejection::wrong_key:
    case Rejection::wrong_group:
    case Rejection::unknown_peer:
        return reason;
    default:
        return std::nullopt;
    }
}

} // namespace rdma_paxos
