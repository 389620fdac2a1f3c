// The changes of memory order that ship.
#pragma once

#include "1_naive.cuh"

KFER_KERNELS_BEGIN

/// y, in the order `to`, gets the elements of x, in the order `from`; padding of y becomes zero.
template <class T>
void relayout(const T* x, const MemoryOrder& from, T* y, const MemoryOrder& to, const Extents& shape,
              Stream stream) {
  const long long size = to.size();
  if (size == 0) return;
  launch(relayout_naive<T>, dim3(grid_blocks(size, 256)), dim3(256), 0, stream, x, from, y, to, shape, size);
}

KFER_KERNELS_END
