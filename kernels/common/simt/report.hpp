// What a thread may wait for, and how a report names it.
#pragma once

#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>

#include "sanitizers.hpp"

namespace kfer::simt::detail {

/// A line of source: std::source_location for compilers that lack it.
struct Site {
  const char* file = "";
  unsigned line = 0;
  static constexpr Site current(const char* file = __builtin_FILE(), unsigned line = __builtin_LINE()) {
    return {file, line};
  }
};

enum class Op : std::uint8_t {
  barrier,
  barrier_count,
  barrier_and,
  barrier_or,
  syncwarp,
  shuffle,
  shuffle_up,
  shuffle_down,
  shuffle_xor,
  vote,
  reduce_add,
  reduce_max,
  reduce_min,
  reduce_and,
  reduce_or,
  reduce_xor,
  match_any,
  nanosleep,
};

KFER_SIMT_RAW inline const char* name(Op op) {
  switch (op) {
    case Op::barrier:
      return "__syncthreads";
    case Op::barrier_count:
      return "__syncthreads_count";
    case Op::barrier_and:
      return "__syncthreads_and";
    case Op::barrier_or:
      return "__syncthreads_or";
    case Op::syncwarp:
      return "__syncwarp";
    case Op::shuffle:
      return "__shfl_sync";
    case Op::shuffle_up:
      return "__shfl_up_sync";
    case Op::shuffle_down:
      return "__shfl_down_sync";
    case Op::shuffle_xor:
      return "__shfl_xor_sync";
    case Op::vote:
      return "__ballot/any/all_sync";
    case Op::reduce_add:
      return "__reduce_add_sync";
    case Op::reduce_max:
      return "__reduce_max_sync";
    case Op::reduce_min:
      return "__reduce_min_sync";
    case Op::reduce_and:
      return "__reduce_and_sync";
    case Op::reduce_or:
      return "__reduce_or_sync";
    case Op::reduce_xor:
      return "__reduce_xor_sync";
    case Op::match_any:
      return "__match_any_sync";
    case Op::nanosleep:
      return "__nanosleep";
  }
  return "?";
}

/// Text of bounded length, made without the heap: the stack that it is made on may be dropped.
class Text {
 public:
  /// Appends as printf does; what does not fit is cut.
  KFER_SIMT_RAW __attribute__((format(printf, 2, 3))) Text& add(const char* format, ...) {
    std::va_list arguments;
    va_start(arguments, format);
    const int more = std::vsnprintf(text_ + length_, sizeof text_ - length_, format, arguments);
    va_end(arguments);
    if (more > 0) length_ += static_cast<std::size_t>(more);
    if (length_ > sizeof text_ - 1) length_ = sizeof text_ - 1;
    return *this;
  }
  KFER_SIMT_RAW void clear() { text_[length_ = 0] = 0; }
  KFER_SIMT_RAW bool empty() const { return length_ == 0; }
  KFER_SIMT_RAW const char* c_str() const { return text_; }

 private:
  std::size_t length_ = 0;
  char text_[1200] = "";
};

}  // namespace kfer::simt::detail
