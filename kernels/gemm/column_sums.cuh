// Sums of the columns of a matrix in two stages: the gradient of a bias.
//
// Stage one: blocks of 32 x 8 threads, a block 32 columns and one of `slices` slices of the rows, summed down
// the columns (a warp reads 32 neighbours) and then over the block's 8 partial rows. Stage two adds the
// slices. Reads the matrix once; no atomics, so the same bits every run.
#pragma once

#include "problem.cuh"

KFER_KERNELS_BEGIN

template <class T>
__global__ void column_sums_partial(const T* __restrict__ x, accum_t<T>* __restrict__ partial, long long rows,
                                    long long columns, long long slice_rows) {
  using A = accum_t<T>;
  KFER_SHARED(A, part, [8][33]);
  const int tx = static_cast<int>(threadIdx.x), ty = static_cast<int>(threadIdx.y);
  const long long blocks_x = div_up(columns, 32), j = blockIdx.x % blocks_x * 32 + tx,
                  slice = blockIdx.x / blocks_x;
  const long long first = slice * slice_rows, last = first + slice_rows < rows ? first + slice_rows : rows;
  A sum = 0;
  if (j < columns)
    for (long long i = first + ty; i < last; i += 8) sum += widen(x[i * columns + j]);
  part[ty][tx] = sum;
  __syncthreads();
  if (ty != 0 || j >= columns) return;
  for (int y = 1; y < 8; ++y) sum += part[y][tx];
  partial[slice * columns + j] = sum;
}

template <class T>
__global__ void column_sums_total(const accum_t<T>* __restrict__ partial, T* __restrict__ y, long long slices,
                                  long long columns) {
  const long long j = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (j >= columns) return;
  accum_t<T> sum = 0;
  for (long long s = 0; s < slices; ++s) sum += partial[s * columns + j];
  y[j] = narrow<T>(sum);
}

/// How many rows of partial sums column_sums wants for a matrix of so many rows.
inline long long column_sums_slices(long long rows) {
  const long long slices = div_up(rows, 64);
  return slices < 1 ? 1 : slices < 64 ? slices : 64;
}

/// y[j] = sum over i of x[i, j], x [rows, columns]; `partial` has room for column_sums_slices(rows) *
/// columns.
template <class T>
void column_sums(const T* x, T* y, accum_t<T>* partial, long long rows, long long columns, Stream stream) {
  if (columns == 0) return;
  const long long slices = column_sums_slices(rows), slice_rows = div_up(rows, slices);
  launch(column_sums_partial<T>, dim3(static_cast<unsigned>(div_up(columns, 32) * slices)), dim3(32, 8), 0,
         stream, x, partial, rows, columns, slice_rows);
  launch(column_sums_total<T>, dim3(static_cast<unsigned>(div_up(columns, 128))), dim3(128), 0, stream,
         partial, y, slices, columns);
}

KFER_KERNELS_END
