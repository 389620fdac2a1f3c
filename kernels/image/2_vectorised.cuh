// Sixteen bytes of the result a thread, the numbers of channels known to the compiler.
//
// The result is most of the traffic: at float and 3 channels 12 of 15 bytes a pixel, at bf16 padded to 8
// channels 16 of 19. So a thread owns one aligned store, whatever pixels it covers: one pixel of padded bf16,
// half of one of padded float, and one and a third of plain float. Where nothing is padded or mirrored its
// source is that many consecutive bytes, one load; else it picks bytes, which the first-level cache serves.
// Divisions are by constants. A row of blocks (blockIdx.y) works on one image, so that indices take 32 bits
// and mirroring is decided once.
#pragma once

#include "../common/grid.cuh"
#include "../common/vec.cuh"
#include "normalise.cuh"

KFER_KERNELS_BEGIN

template <class T, int W, int Channels, int Padded>
__global__ void __launch_bounds__(256)
    images_to_nhwc_vectorised_kernel(const unsigned char* __restrict__ x, T* __restrict__ y, ImageBatch batch,
                                     const __grid_constant__ Normalisation normalisation,
                                     const unsigned char* __restrict__ flip) {
  using A = accum_t<T>;
  const int pixels = static_cast<int>(batch.pixels()), size = pixels * Padded;
  for (long long image = blockIdx.y; image < batch.images; image += gridDim.y) {
    const unsigned char* in = x + image * pixels * Channels;
    T* out = y + image * size;
    const bool mirrored = flip && flip[image];
    const bool straight =
        Channels == Padded && !mirrored && reinterpret_cast<unsigned long long>(in) % W == 0;
    const int stride = static_cast<int>(gridDim.x * blockDim.x) * W;
    for (int at = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * W; at < size; at += stride) {
      const int first = W % Padded == 0 ? 0 : at % Padded;  // channel of the first number
      Vec<unsigned char, W> bytes = {};
      if (straight) {
        bytes = load_vec<W>(in + at, 0);
      } else {
#pragma unroll
        for (int j = 0; j < W; ++j) {
          const int c = (first + j) % Padded;
          int pixel = (at + j) / Padded;
          if (mirrored) pixel += batch.width - 1 - 2 * (pixel % batch.width);
          if (c < Channels) bytes[j] = in[pixel * Channels + c];
        }
      }
      Vec<T, W> v;
#pragma unroll
      for (int j = 0; j < W; ++j) {
        A factor = A(0), shift = A(0);  // picked from registers: lanes differ in c
#pragma unroll
        for (int k = 0; k < Channels; ++k) {
          factor = (first + j) % Padded == k ? A(normalisation.factor[k]) : factor;
          shift = (first + j) % Padded == k ? A(normalisation.shift[k]) : shift;
        }
        v[j] = narrow<T>(static_cast<A>(bytes[j]) * factor + shift);
      }
      store_vec<W>(out + at, 0, v);
    }
  }
}

namespace detail {
template <class T, int Channels, int Padded>
void launch_images_to_nhwc(const unsigned char* x, T* y, const ImageBatch& batch,
                           const Normalisation& normalisation, const unsigned char* flip, Stream stream) {
  constexpr int W = vec_width<T>;
  const int size = static_cast<int>(batch.pixels()) * Padded;
  const bool vectors = size % W == 0 && aligned16(y);
  const unsigned rows = static_cast<unsigned>(batch.images < 65535 ? batch.images : 65535);
  launch(vectors ? images_to_nhwc_vectorised_kernel<T, W, Channels, Padded>
                 : images_to_nhwc_vectorised_kernel<T, 1, Channels, Padded>,
         dim3(grid_blocks(size, 256 * (vectors ? W : 1)), rows), dim3(256), 0, stream, x, y, batch,
         normalisation, flip);
}
}  // namespace detail

/// Whether this variant knows the numbers of channels, and 32 bits index an image.
inline bool images_to_nhwc_vectorises(const ImageBatch& batch) {
  return batch.pixels() * batch.padded < (1 << 30) && (batch.channels == 1 || batch.channels == 3) &&
         (batch.padded == batch.channels || batch.padded == 8);
}

template <class T>
void images_to_nhwc_vectorised(const unsigned char* x, T* y, const ImageBatch& batch,
                               const Normalisation& normalisation, const unsigned char* flip, Stream stream) {
  if (batch.images * batch.pixels() == 0) return;
  const bool padded = batch.padded == 8;
  if (batch.channels == 3)
    (padded ? detail::launch_images_to_nhwc<T, 3, 8>
            : detail::launch_images_to_nhwc<T, 3, 3>)(x, y, batch, normalisation, flip, stream);
  else
    (padded ? detail::launch_images_to_nhwc<T, 1, 8>
            : detail::launch_images_to_nhwc<T, 1, 1>)(x, y, batch, normalisation, flip, stream);
}

KFER_KERNELS_END
