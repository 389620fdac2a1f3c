// Many tensors in one launch: a table of them travels as a kernel parameter, and work is dealt out in equal
// chunks over all of them together, whatever their sizes.
//
// A kernel may have 32,764 bytes of parameters (CUDA 12.1 and later, compute capability 7.0 and later; before
// that it was 4 KB). They lie in constant memory, where all threads of a warp reading one entry is what the
// hardware is made for, and a captured graph keeps them: no copy to the device, nothing to free. A table of
// Adam's entries holds 531 tensors (ResNet50 has 161), so that one launch is the rule; there is a small table
// besides, of 4 KB, because the parameters of a launch are copied each time.
#pragma once

#include <algorithm>

#include "../common/grid.cuh"

KFER_KERNELS_BEGIN

/// Elements of one tensor that a block takes at a time: four times 16 bytes of float a thread.
inline constexpr int chunk_elements = 4096;

/// `Entry` has pointers and `count`, the number of elements.
template <class Entry, int Capacity>
struct TensorTable {
  static constexpr int capacity = Capacity;
  int tensors;
  int first_chunk[Capacity + 1];  ///< of each tensor; the last is the number of chunks
  Entry entry[Capacity];

  __host__ __device__ int chunks() const { return first_chunk[tensors]; }
  /// The tensor that a chunk belongs to.
  __device__ int owner(int chunk) const {
    int low = 0, high = tensors;  // first_chunk[low] <= chunk < first_chunk[high]
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (first_chunk[middle] <= chunk ? low : high) = middle;
    }
    return low;
  }
};

template <class Entry>
using SmallTable = TensorTable<Entry, (4000 - 128) / (sizeof(Entry) + sizeof(int))>;
template <class Entry>
using LargeTable = TensorTable<Entry, (32000 - 128) / (sizeof(Entry) + sizeof(int))>;

namespace detail {
template <class Table, class Entry, class F>
void fill_tables(const Entry* entries, long long n, const F& f) {
  Table table;
  table.tensors = table.first_chunk[0] = 0;
  for (long long i = 0; i < n; ++i) {
    if (entries[i].count == 0) continue;
    table.entry[table.tensors] = entries[i];
    table.first_chunk[table.tensors + 1] =
        table.chunks() + static_cast<int>(div_up(entries[i].count, chunk_elements));
    if (++table.tensors < Table::capacity) continue;
    f(table);
    table.tensors = 0;
  }
  if (table.tensors) f(table);
}
}  // namespace detail

/// Calls `f(table)` with all tensors that have elements, in as few tables as hold them.
template <class Entry, class F>
void with_tensor_tables(const Entry* entries, long long n, const F& f) {
  if (n <= SmallTable<Entry>::capacity)
    detail::fill_tables<SmallTable<Entry>>(entries, n, f);
  else
    detail::fill_tables<LargeTable<Entry>>(entries, n, f);
}

/// The stretch of a tensor that a chunk is.
struct Chunk {
  long long begin;
  int count;
};
template <class Table>
__device__ inline Chunk chunk_of(const Table& table, int tensor, int chunk) {
  const long long begin = static_cast<long long>(chunk - table.first_chunk[tensor]) * chunk_elements,
                  rest = table.entry[tensor].count - begin;
  return {begin, static_cast<int>(rest < chunk_elements ? rest : chunk_elements)};
}

KFER_KERNELS_END
