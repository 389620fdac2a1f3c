// What the operations of a warp compute from the values of its lanes.
#pragma once

#include <cstdint>

#include "report.hpp"
#include "schedule.hpp"
#include "thread.hpp"

namespace kfer::simt::detail {

/// An operation of some lanes of a warp that not all of them have reached.
struct Gathering {
  bool open = false;
  Op op{};
  unsigned mask = 0, arrived = 0;
  // ThreadSanitizer's, in turns: a lane may arrive at the next gathering before others have left this one.
  unsigned turn = 0;
  char order[2]{};
};

/// The lane that `lane` reads in a shuffle, by PTX's rules for shfl.sync: lanes fall into segments of
/// `width`, and what lies outside is the lane's own value.
KFER_SIMT_RAW inline int shuffle_source(Op op, int lane, int argument, int width) {
  const int first = lane & ~(width - 1), last = first + width - 1;
  int source = lane;
  switch (op) {
    case Op::shuffle:
      return first + (argument & (width - 1));
    case Op::shuffle_up:
      source = lane - (argument & 31);
      return source < first ? lane : source;
    case Op::shuffle_down:
      source = lane + (argument & 31);
      break;
    case Op::shuffle_xor:
      source = lane ^ (argument & 31);
      break;
    default:
      break;
  }
  return source > last ? lane : source;
}

KFER_SIMT_RAW inline bool is_shuffle(Op op) {
  return op >= Op::shuffle && op <= Op::shuffle_xor;
}

/// Gives every lane of `mask` its result. Returns a lane that reads one outside the mask, or -1.
KFER_SIMT_RAW inline int complete(Op op, unsigned mask, Thread* lanes) {
  const auto in_mask = [mask](int lane) KFER_SIMT_RAW { return mask >> lane & 1; };
  if (is_shuffle(op)) {
    for (int i = 0; i < int{warp_size}; ++i) {
      if (!in_mask(i)) continue;
      const int source = shuffle_source(op, i, lanes[i].argument, lanes[i].width);
      if (!in_mask(source)) return i;
      lanes[i].taken[0] = lanes[source].given[0];
      lanes[i].taken[1] = lanes[source].given[1];
    }
    return -1;
  }
  if (op == Op::match_any) {
    for (int i = 0; i < int{warp_size}; ++i) {
      lanes[i].taken[0] = 0;
      for (int j = 0; j < int{warp_size}; ++j) {
        if (in_mask(j) && lanes[j].given[0] == lanes[i].given[0]) lanes[i].taken[0] |= 1u << j;
      }
    }
    return -1;
  }
  // The others have one result for all.
  std::uint64_t result = 0;
  bool first = true;
  for (int i = 0; i < int{warp_size}; ++i) {
    if (!in_mask(i)) continue;
    const std::uint64_t value = lanes[i].given[0];
    const auto as_signed = static_cast<std::int64_t>(value);
    switch (op) {
      case Op::vote:
        result |= std::uint64_t{value != 0} << i;
        break;
      case Op::reduce_add:
        result += value;
        break;
      case Op::reduce_max:
        result = first || as_signed > static_cast<std::int64_t>(result) ? value : result;
        break;
      case Op::reduce_min:
        result = first || as_signed < static_cast<std::int64_t>(result) ? value : result;
        break;
      case Op::reduce_and:
        result = first ? value : result & value;
        break;
      case Op::reduce_or:
        result |= value;
        break;
      case Op::reduce_xor:
        result ^= value;
        break;
      default:
        break;
    }
    first = false;
  }
  for (int i = 0; i < int{warp_size}; ++i) {
    if (in_mask(i)) lanes[i].taken[0] = result;
  }
  return -1;
}

}  // namespace kfer::simt::detail
