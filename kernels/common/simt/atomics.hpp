// Atomic operations on global and shared memory. They are relaxed, as CUDA's are, and take the types that
// CUDA's take: an overload that nvcc lacks is missing here as well.
#pragma once

#include <atomic>
#include <type_traits>

namespace kfer::simt {

namespace detail {

template <class T, class... Allowed>
concept OneOf = (std::is_same_v<T, Allowed> || ...);

using Ull = unsigned long long;

/// *p = f(*p), at once; the old value.
template <class T, class F>
T atomic_update(T* p, F f) {
  std::atomic_ref<T> target(*p);
  T old = target.load(std::memory_order_relaxed);
  while (!target.compare_exchange_weak(old, f(old), std::memory_order_relaxed)) {
  }
  return old;
}

}  // namespace detail

inline namespace words {

template <detail::OneOf<int, unsigned, detail::Ull, float, double> T>
T atomicAdd(T* p, std::type_identity_t<T> value) {
  return detail::atomic_update(p, [value](T old) {
    if constexpr (std::is_same_v<T, int>)
      return static_cast<int>(static_cast<unsigned>(old) + value);  // wraps
    else
      return static_cast<T>(old + value);
  });
}
template <detail::OneOf<int, unsigned> T>
T atomicSub(T* p, std::type_identity_t<T> value) {
  return detail::atomic_update(p, [value](T old) {
    return static_cast<T>(static_cast<unsigned>(old) - static_cast<unsigned>(value));
  });
}
template <detail::OneOf<int, unsigned, long long, detail::Ull> T>
T atomicMax(T* p, std::type_identity_t<T> value) {
  return detail::atomic_update(p, [value](T old) { return old < value ? value : old; });
}
template <detail::OneOf<int, unsigned, long long, detail::Ull> T>
T atomicMin(T* p, std::type_identity_t<T> value) {
  return detail::atomic_update(p, [value](T old) { return value < old ? value : old; });
}
template <detail::OneOf<int, unsigned, detail::Ull> T>
T atomicAnd(T* p, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*p).fetch_and(value, std::memory_order_relaxed);
}
template <detail::OneOf<int, unsigned, detail::Ull> T>
T atomicOr(T* p, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*p).fetch_or(value, std::memory_order_relaxed);
}
template <detail::OneOf<int, unsigned, detail::Ull> T>
T atomicXor(T* p, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*p).fetch_xor(value, std::memory_order_relaxed);
}
/// Counts 0, 1, ... last, 0, ...
inline unsigned atomicInc(unsigned* p, unsigned last) {
  return detail::atomic_update(p, [last](unsigned old) { return old >= last ? 0 : old + 1; });
}
/// Counts last, ... 1, 0, last, ...
inline unsigned atomicDec(unsigned* p, unsigned last) {
  return detail::atomic_update(p, [last](unsigned old) { return old == 0 || old > last ? last : old - 1; });
}
template <detail::OneOf<int, unsigned, detail::Ull, float> T>
T atomicExch(T* p, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*p).exchange(value, std::memory_order_relaxed);
}
template <detail::OneOf<int, unsigned, detail::Ull, unsigned short> T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  std::atomic_ref<T>(*p).compare_exchange_strong(expected, value, std::memory_order_relaxed);
  return expected;
}

}  // namespace words
}  // namespace kfer::simt
