// Where the elements of a tensor-core product live in a warp's registers, and what its lanes tell ldmatrix:
// mma.sync m16n8k16 for bf16, m16n8k8 for TF32; lanes in 8 groups of 4. Plain arithmetic, the same on host
// and device, so that a test on the host can follow every element through it.
//
// Sources: PTX ISA, "Matrix fragments for mma.m16n8k16 / m16n8k8", "ldmatrix".
#pragma once

#include "bf16.cuh"

KFER_KERNELS_BEGIN

/// A place in a tile of A or B: `outer` is a row of op(A) or a column of op(B).
struct TileElement {
  int outer, k;
  constexpr bool operator==(const TileElement&) const = default;
};

/// k of one mma.
template <class T>
inline constexpr int mma_depth = static_cast<int>(32 / sizeof(T));

/// The element that lane `lane` holds in part e (of 4 / sizeof(T)) of register r (of 4) of a 16 x k fragment
/// of A.
template <class T>
__host__ __device__ constexpr TileElement mma_a(int lane, int r, int e) {
  return {lane / 4 + r % 2 * 8, (r / 2 * 16 + lane % 4 * 4) / static_cast<int>(sizeof(T)) + e};
}
/// The same of two neighbouring fragments of B, 16 columns: registers 0 and 1 are the first one's.
template <class T>
__host__ __device__ constexpr TileElement mma_b(int lane, int r, int e) {
  return {lane / 4 + r / 2 * 8, (r % 2 * 16 + lane % 4 * 4) / static_cast<int>(sizeof(T)) + e};
}
/// {row, column} of register r (of 4) of a 16 x 8 fragment of C.
struct FragmentElement {
  int row, column;
};
__host__ __device__ constexpr FragmentElement mma_c(int lane, int r) {
  return {lane / 4 + r / 2 * 8, lane % 4 * 2 + r % 2};
}

/// Which row of 16 bytes lane `lane` names to ldmatrix.x4 for a fragment of A: its first element. Matrix
/// lane / 8 of four becomes register lane / 8. With k not contiguous (bf16 alone) ldmatrix.trans is meant.
template <class T, bool KContiguous>
__host__ __device__ constexpr TileElement ldmatrix_a(int lane) {
  const int j = lane / 8, r = lane % 8, k = j / 2 * static_cast<int>(16 / sizeof(T));
  return KContiguous ? TileElement{j % 2 * 8 + r, k} : TileElement{j % 2 * 8, k + r};
}
/// The same for two fragments of B.
template <class T, bool KContiguous>
__host__ __device__ constexpr TileElement ldmatrix_b(int lane) {
  const int j = lane / 8, r = lane % 8, k = j % 2 * static_cast<int>(16 / sizeof(T));
  return KContiguous ? TileElement{j / 2 * 8 + r, k} : TileElement{j / 2 * 8, k + r};
}

KFER_KERNELS_END
