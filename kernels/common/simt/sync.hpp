// Barriers, and what the lanes of a warp do together.
//
// A barrier and __syncwarp order memory; shuffles, votes and reductions only exchange values, as CUDA's
// documents have it.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "machine.hpp"

namespace kfer::simt {

namespace detail {

template <class T>
KFER_SIMT_RAW T shuffle(Op op, unsigned mask, const T& value, int argument, int width, const Site& site) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 16, "a shuffle takes at most 16 bytes");
  Machine& machine = Machine::get();
  Thread& me = machine.current();
  __builtin_memcpy(me.given, &value, sizeof(T));
  machine.wait_for_warp(op, mask, argument, width, site);
  T result;
  __builtin_memcpy(&result, me.taken, sizeof(T));
  return result;
}

KFER_SIMT_RAW inline std::uint64_t gather(Op op, unsigned mask, std::uint64_t value, const Site& site) {
  Machine& machine = Machine::get();
  Thread& me = machine.current();
  me.given[0] = value;
  machine.wait_for_warp(op, mask, 0, 32, site);
  return me.taken[0];
}

/// A 32-bit integer as 64 bits that compare alike.
template <class T>
concept Int32 = std::is_same_v<T, int> || std::is_same_v<T, unsigned>;
template <Int32 T>
KFER_SIMT_RAW T reduce(Op op, unsigned mask, T value, const Site& site) {
  return static_cast<T>(gather(op, mask, static_cast<std::uint64_t>(static_cast<std::int64_t>(value)), site));
}

}  // namespace detail

inline namespace words {

inline void __syncthreads(detail::Site site = detail::Site::current()) {
  detail::Machine::get().wait_for_block(detail::Op::barrier, 0, site);
}
inline int __syncthreads_count(int p, detail::Site site = detail::Site::current()) {
  return detail::Machine::get().wait_for_block(detail::Op::barrier_count, p, site);
}
inline int __syncthreads_and(int p, detail::Site site = detail::Site::current()) {
  return detail::Machine::get().wait_for_block(detail::Op::barrier_and, p, site);
}
inline int __syncthreads_or(int p, detail::Site site = detail::Site::current()) {
  return detail::Machine::get().wait_for_block(detail::Op::barrier_or, p, site);
}
inline void __syncwarp(unsigned mask = ~0u, detail::Site site = detail::Site::current()) {
  detail::gather(detail::Op::syncwarp, mask, 0, site);
}

template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32, detail::Site site = detail::Site::current()) {
  return detail::shuffle(detail::Op::shuffle, mask, value, lane, width, site);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned lanes, int width = 32,
                 detail::Site site = detail::Site::current()) {
  return detail::shuffle(detail::Op::shuffle_up, mask, value, static_cast<int>(lanes), width, site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned lanes, int width = 32,
                   detail::Site site = detail::Site::current()) {
  return detail::shuffle(detail::Op::shuffle_down, mask, value, static_cast<int>(lanes), width, site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                  detail::Site site = detail::Site::current()) {
  return detail::shuffle(detail::Op::shuffle_xor, mask, value, bits, width, site);
}

inline unsigned __ballot_sync(unsigned mask, int p, detail::Site site = detail::Site::current()) {
  return static_cast<unsigned>(detail::gather(detail::Op::vote, mask, p != 0, site));
}
inline int __any_sync(unsigned mask, int p, detail::Site site = detail::Site::current()) {
  return detail::gather(detail::Op::vote, mask, p != 0, site) != 0;
}
inline int __all_sync(unsigned mask, int p, detail::Site site = detail::Site::current()) {
  return detail::gather(detail::Op::vote, mask, p != 0, site) == mask;
}
/// The lanes of `mask` that have not exited: here no lane runs ahead of another into a branch.
inline unsigned __activemask() {
  return detail::Machine::get().active_lanes();
}
template <class T>
unsigned __match_any_sync(unsigned mask, T value, detail::Site site = detail::Site::current()) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8));
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  return static_cast<unsigned>(detail::gather(detail::Op::match_any, mask, bits, site));
}

template <detail::Int32 T>
T __reduce_add_sync(unsigned mask, T value, detail::Site site = detail::Site::current()) {
  return detail::reduce(detail::Op::reduce_add, mask, value, site);
}
template <detail::Int32 T>
T __reduce_max_sync(unsigned mask, T value, detail::Site site = detail::Site::current()) {
  return detail::reduce(detail::Op::reduce_max, mask, value, site);
}
template <detail::Int32 T>
T __reduce_min_sync(unsigned mask, T value, detail::Site site = detail::Site::current()) {
  return detail::reduce(detail::Op::reduce_min, mask, value, site);
}
inline unsigned __reduce_and_sync(unsigned mask, unsigned value,
                                  detail::Site site = detail::Site::current()) {
  return detail::reduce(detail::Op::reduce_and, mask, value, site);
}
inline unsigned __reduce_or_sync(unsigned mask, unsigned value, detail::Site site = detail::Site::current()) {
  return detail::reduce(detail::Op::reduce_or, mask, value, site);
}
inline unsigned __reduce_xor_sync(unsigned mask, unsigned value,
                                  detail::Site site = detail::Site::current()) {
  return detail::reduce(detail::Op::reduce_xor, mask, value, site);
}

/// Lets the other threads of the block go first: a thread that waits for what another one writes must sleep.
inline void __nanosleep(unsigned /*nanoseconds*/, detail::Site site = detail::Site::current()) {
  detail::Machine::get().yield(site);
}

// A fence orders what was done before it and what is done after a later fence.
inline void __threadfence() {
  detail::Machine::get().fence();
}
inline void __threadfence_block() {
  detail::Machine::get().fence();
}
inline void __threadfence_system() {
  detail::Machine::get().fence();
}

[[noreturn]] inline void __trap() {
  detail::Machine::get().fail(detail::Text().add("__trap"));
}

}  // namespace words
}  // namespace kfer::simt
