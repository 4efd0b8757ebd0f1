// SPDX-License-Identifier: Apache-2.0
#include "../bench/allocations.h"

#include <cerrno>
#include <cstddef>

namespace {

thread_local std::uint64_t count = 0;

} // namespace

namespace rdma_paxos::bench {

std::uint64_t allocations_of_this_thread() {
    return count;
}

} // namespace rdma_paxos::bench

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// glibc lets a program define these, and keeps its own under other names.
extern "C" {
void* __libc_malloc(std::size_t bytes);                         // NOLINT(bugprone-reserved-identifier)
void* __libc_calloc(std::size_t number, std::size_t bytes);     // NOLINT(bugprone-reserved-identifier)
void* __libc_realloc(void* old, std::size_t bytes);             // NOLINT(bugprone-reserved-identifier)
void* __libc_memalign(std::size_t boundary, std::size_t bytes); // NOLINT(bugprone-reserved-identifier)

void* malloc(std::size_t bytes) {
    ++count;
    return __libc_malloc(bytes);
}
void* calloc(std::size_t number, std::size_t bytes) {
    ++count;
    return __libc_calloc(number, bytes);
}
void* realloc(void* old, std::size_t bytes) {
    ++count;
    return __libc_realloc(old, bytes);
}
void* memalign(std::size_t boundary, std::size_t bytes) {
    ++count;
    return __libc_memalign(boundary, bytes);
}
void* aligned_alloc(std::size_t boundary, std::size_t bytes) {
    ++count;
    return __libc_memalign(boundary, bytes);
}
int posix_memalign(void** result, std::size_t boundary, std::size_t bytes) {
    ++count;
    *result = __libc_memalign(boundary, bytes);
    return *result ? 0 : ENOMEM;
}
}
#endif
