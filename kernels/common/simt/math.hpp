// Loads and stores with a cache hint, bits, and arithmetic.
//
// The hints do nothing here. Functions that are approximate on a GPU (__expf, rsqrtf ...) are the exact ones.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace kfer::simt {

namespace detail {

/// What one load instruction may take.
template <class T>
concept OneAccess = std::is_trivially_copyable_v<T> && sizeof(T) <= 16;

/// x, rounded to its type here and now: the compiler fuses no product with a sum across it.
template <class T>
T rounded(T x) {
  asm("" : "+m"(x));
  return x;
}

/// The whole number x as an Integer; what does not fit becomes the nearest that does, a NaN 0.
template <class Integer>
Integer saturate(float x) {
  constexpr double low = static_cast<double>(std::numeric_limits<Integer>::min()),
                   high = static_cast<double>(std::numeric_limits<Integer>::max());
  return x != x ? 0 : static_cast<Integer>(std::clamp(double{x}, low, high));
}

}  // namespace detail

inline namespace words {

// ---- Loads and stores ----

template <detail::OneAccess T>
T __ldg(const T* p) {
  return *p;
}
template <detail::OneAccess T>
T __ldca(const T* p) {
  return *p;
}
template <detail::OneAccess T>
T __ldcg(const T* p) {
  return *p;
}
template <detail::OneAccess T>
T __ldcs(const T* p) {
  return *p;
}
template <detail::OneAccess T>
T __ldlu(const T* p) {
  return *p;
}
template <detail::OneAccess T>
void __stwb(T* p, std::type_identity_t<T> value) {
  *p = value;
}
template <detail::OneAccess T>
void __stcg(T* p, std::type_identity_t<T> value) {
  *p = value;
}
template <detail::OneAccess T>
void __stcs(T* p, std::type_identity_t<T> value) {
  *p = value;
}

// ---- Bits ----

// clang-format off
constexpr int __popc(unsigned x) { return std::popcount(x); }
constexpr int __popcll(unsigned long long x) { return std::popcount(x); }
constexpr int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
constexpr int __clzll(long long x) { return std::countl_zero(static_cast<unsigned long long>(x)); }
constexpr int __ffs(int x) { return x ? std::countr_zero(static_cast<unsigned>(x)) + 1 : 0; }
constexpr int __ffsll(long long x) { return x ? std::countr_zero(static_cast<unsigned long long>(x)) + 1 : 0; }
constexpr float __int_as_float(int x) { return std::bit_cast<float>(x); }
constexpr int __float_as_int(float x) { return std::bit_cast<int>(x); }
constexpr float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
constexpr unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
constexpr double __longlong_as_double(long long x) { return std::bit_cast<double>(x); }
constexpr long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }
// clang-format on

/// The bits in reverse order.
constexpr unsigned __brev(unsigned x) {
  unsigned reversed = 0;
  for (int i = 0; i < 32; ++i) reversed |= (x >> i & 1) << (31 - i);
  return reversed;
}
constexpr unsigned long long __brevll(unsigned long long x) {
  return static_cast<unsigned long long>(__brev(static_cast<unsigned>(x))) << 32 |
         __brev(static_cast<unsigned>(x >> 32));
}
/// Four bytes of the eight of (y, x), chosen by the four lowest hexadecimal digits of `selector`: bits 0 to 2
/// name the byte, bit 3 asks for its sign bit eight times over.
constexpr unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  const std::uint64_t bytes = std::uint64_t{y} << 32 | x;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) {
    const unsigned digit = selector >> (4 * i) & 0xF, byte = bytes >> (8 * (digit & 7)) & 0xFF;
    result |= (digit & 8 ? (byte & 0x80 ? 0xFFu : 0u) : byte) << (8 * i);
  }
  return result;
}
/// The high word of (high, low) << (shift & 31).
constexpr unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((std::uint64_t{high} << 32 | low) << (shift & 31) >> 32);
}
/// The low word of (high, low) >> (shift & 31).
constexpr unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((std::uint64_t{high} << 32 | low) >> (shift & 31));
}
/// High halves of products.
constexpr unsigned __umulhi(unsigned x, unsigned y) {
  return static_cast<unsigned>(std::uint64_t{x} * y >> 32);
}
constexpr int __mulhi(int x, int y) {
  return static_cast<int>(std::int64_t{x} * y >> 32);
}
constexpr unsigned long long __umul64hi(unsigned long long x, unsigned long long y) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<unsigned long long>(Wide{x} * y >> 64);
}

// ---- Arithmetic ----

// CUDA overloads these for float and double, and has them without std::.
using std::abs, std::fabs, std::fma, std::fmax, std::fmin, std::fmod, std::hypot, std::copysign;
using std::acos, std::asin, std::atan, std::atan2, std::cos, std::cosh, std::sin, std::sinh, std::tan,
    std::tanh;
using std::cbrt, std::erf, std::erfc, std::exp, std::exp2, std::expm1, std::lgamma, std::log, std::log10,
    std::log1p, std::log2, std::pow, std::sqrt, std::tgamma;
using std::ceil, std::floor, std::llrint, std::lrint, std::nearbyint, std::rint, std::round, std::trunc;
using std::isfinite, std::isinf, std::isnan, std::signbit;

/// Both integers or both floating-point numbers; of a NaN and a number, the number.
template <class A, class B>
requires(std::is_integral_v<A>&& std::is_integral_v<B>) ||
    (std::is_floating_point_v<A> && std::is_floating_point_v<B>)constexpr auto min(A a, B b) {
  using T = std::common_type_t<decltype(+a), decltype(+b)>;
  const T x = static_cast<T>(a), y = static_cast<T>(b);
  return y < x || x != x ? y : x;
}
template <class A, class B>
requires(std::is_integral_v<A>&& std::is_integral_v<B>) ||
    (std::is_floating_point_v<A> && std::is_floating_point_v<B>)constexpr auto max(A a, B b) {
  using T = std::common_type_t<decltype(+a), decltype(+b)>;
  const T x = static_cast<T>(a), y = static_cast<T>(b);
  return x < y || x != x ? y : x;
}

// clang-format off
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline float rsqrt(float x) { return 1 / std::sqrt(x); }
inline double rsqrt(double x) { return 1 / std::sqrt(x); }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1) : 0; }  // of a NaN: 0
inline float fdividef(float x, float y) { return x / y; }

inline float __expf(float x) { return std::exp(x); }
inline float __exp10f(float x) { return std::pow(10.0f, x); }
inline float __logf(float x) { return std::log(x); }
inline float __log2f(float x) { return std::log2(x); }
inline float __log10f(float x) { return std::log10(x); }
inline float __powf(float x, float y) { return std::pow(x, y); }
inline float __sinf(float x) { return std::sin(x); }
inline float __cosf(float x) { return std::cos(x); }
inline float __tanf(float x) { return std::tan(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frsqrt_rn(float x) { return static_cast<float>(1 / std::sqrt(double{x})); }

// Rounded once, and never fused.
inline float __fadd_rn(float x, float y) { return detail::rounded(x + y); }
inline float __fsub_rn(float x, float y) { return detail::rounded(x - y); }
inline float __fmul_rn(float x, float y) { return detail::rounded(x * y); }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fsqrt_rn(float x) { return std::sqrt(x); }
inline float __fmaf_rn(float x, float y, float z) { return std::fma(x, y, z); }
inline double __dadd_rn(double x, double y) { return detail::rounded(x + y); }
inline double __dmul_rn(double x, double y) { return detail::rounded(x * y); }
inline double __fma_rn(double x, double y, double z) { return std::fma(x, y, z); }

inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline float __uint2float_rn(unsigned x) { return static_cast<float>(x); }
inline int __float2int_rn(float x) { return detail::saturate<int>(std::nearbyint(x)); }
inline int __float2int_rz(float x) { return detail::saturate<int>(std::trunc(x)); }
inline int __float2int_rd(float x) { return detail::saturate<int>(std::floor(x)); }
inline int __float2int_ru(float x) { return detail::saturate<int>(std::ceil(x)); }
inline unsigned __float2uint_rn(float x) { return detail::saturate<unsigned>(std::nearbyint(x)); }
inline unsigned __float2uint_rz(float x) { return detail::saturate<unsigned>(std::trunc(x)); }
// clang-format on

}  // namespace words
}  // namespace kfer::simt
