// Facts known at launch made known to the compiler: each function calls `run` with a constant.
#pragma once

#include <type_traits>

#include "divide.cuh"
#include "vec.cuh"

KFER_KERNELS_BEGIN

/// Calls `run(width)`: elements of T that a thread moves at once. All 16 bytes if they divide `extent` (the
/// innermost one, that vectors must not cross) and every pointer is aligned, else one. Null is aligned.
template <class T, class Run, class... Pointers>
void with_vector_width(long long extent, const Run& run, const Pointers*... pointers) {
  if (extent % vec_width<T> == 0 && aligned16(pointers...))
    run(std::integral_constant<int, vec_width<T>>());
  else
    run(std::integral_constant<int, 1>());
}

/// Calls `run(flag)`.
template <class Run>
void with_flag(bool flag, const Run& run) {
  if (flag)
    run(std::true_type());
  else
    run(std::false_type());
}

/// Calls `run(zero)`: a zero of the type that counts `items`: 32 bits, with the fast division, where they
/// suffice.
template <class Run>
void with_index_type(long long items, const Run& run) {
  if (fits_divider(items))
    run(0u);
  else
    run(0ll);
}

/// Both, for a kernel whose threads take vectors of a matrix [rows, extent]: calls `run(width, zero, groups)`
/// with the vectors in a row, unless there are none.
template <class T, class Run, class... Pointers>
void with_row_vectors(long long rows, long long extent, const Run& run, const Pointers*... pointers) {
  if (rows == 0 || extent == 0) return;
  with_vector_width<T>(
      extent,
      [&](auto width) {
        const long long groups = extent / width;
        with_index_type(rows * groups, [&](auto zero) { run(width, zero, groups); });
      },
      pointers...);
}

KFER_KERNELS_END
