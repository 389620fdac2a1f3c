// Where the elements of a tensor-core product live: in a warp's registers, and in shared memory.
//
// A warp multiplies A [16 x K] by B [K x 8] with one mma.sync; every lane holds a few elements of each, in
// places that the instruction fixes (PTX ISA, "Matrix fragments for mma"). These are those places as plain
// functions of lane and element, so that a host can check them.
#pragma once

#include "../common/bf16.cuh"

KFER_KERNELS_BEGIN

/// Element of an operand: row of A or column of B, and depth.
struct MmaPlace {
  int row, depth;
};

/// What an element type is multiplied by: mma.sync.m16n8k16 of bf16, m16n8k8 of TF32.
template <class T>
struct MmaShape;

template <>
struct MmaShape<bf16> {
  static constexpr int depth = 16;
  static constexpr int tile_depth = 32;                 // a block's step: 64 bytes
  static constexpr int pad_along = 8, pad_across = 8;   // elements behind a row of shared memory
  static constexpr int a_elements = 8, b_elements = 4;  // a lane, two to a register

  __host__ __device__ static constexpr MmaPlace a(int lane, int e) {
    return {lane / 4 + e / 2 % 2 * 8, lane % 4 * 2 + e % 2 + e / 4 * 8};
  }
  __host__ __device__ static constexpr MmaPlace b(int lane, int e) {
    return {lane / 4, lane % 4 * 2 + e % 2 + e / 2 * 8};
  }
};

template <>
struct MmaShape<float> {
  static constexpr int depth = 8;
  static constexpr int tile_depth = 16;
  static constexpr int pad_along = 4, pad_across = 8;
  static constexpr int a_elements = 4, b_elements = 2;

  __host__ __device__ static constexpr MmaPlace a(int lane, int e) {
    return {lane / 4 + e % 2 * 8, lane % 4 + e / 2 * 4};
  }
  __host__ __device__ static constexpr MmaPlace b(int lane, int e) { return {lane / 4, lane % 4 + e * 4}; }
};

/// Element e of 4 of a lane's sums: row of A and column of B.
struct MmaSum {
  int row, column;
};
__host__ __device__ constexpr MmaSum mma_sum(int lane, int e) {
  return {lane / 4 + e / 2 * 8, lane % 4 * 2 + e % 2};
}

/// An operand's tile of Rows x Depth elements in shared memory, in the order in which it lies in global
/// memory, with a pad behind each line: the eight 16-byte rows that ldmatrix reads at once, and the 32 words
/// that a warp reads of a TF32 fragment, then fall into different banks.
template <class T, bool AlongDepth, int Rows, int Depth>
struct MmaTile {
  static constexpr int lines = AlongDepth ? Rows : Depth;
  static constexpr int pitch = AlongDepth ? Depth + MmaShape<T>::pad_along : Rows + MmaShape<T>::pad_across;
  static constexpr int size = lines * pitch;

  __host__ __device__ static constexpr int offset(int row, int depth) {
    return AlongDepth ? row * pitch + depth : depth * pitch + row;
  }
};

/// Where lane `lane` points ldmatrix.x4 to, inside 16 rows x 16 of depth of a bf16 operand: matrix lane / 8,
/// its line lane % 8. A's four registers go down the rows first, B's (two fragments of 8 columns) down the
/// depth. Where the tile's lines are of one depth, ldmatrix transposes.
__host__ __device__ constexpr MmaPlace ldmatrix_place(bool is_a, bool along_depth, int lane) {
  const int matrix = lane / 8, line = lane % 8;
  const int row = (is_a ? matrix % 2 : matrix / 2) * 8, depth = (is_a ? matrix / 2 : matrix % 2) * 8;
  return {row + (along_depth ? line : 0), depth + (along_depth ? 0 : line)};
}

KFER_KERNELS_END
