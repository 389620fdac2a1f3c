// Bytes of images to normalised numbers, one number a thread.
//
// Reads a byte and writes sizeof(T) a number, four bytes or two of every access that could move sixteen; and
// divides an index three times to learn where it is.
#pragma once

#include "../common/grid.cuh"
#include "normalise.cuh"

KFER_KERNELS_BEGIN

template <class T>
__global__ void images_to_nhwc_naive_kernel(const unsigned char* __restrict__ x, T* __restrict__ y,
                                            ImageBatch batch, Normalisation normalisation,
                                            const unsigned char* __restrict__ flip) {
  using A = accum_t<T>;
  const long long size = batch.images * batch.pixels() * batch.padded,
                  stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < size; i += stride) {
    const int c = static_cast<int>(i % batch.padded);
    const long long pixel = i / batch.padded, image = pixel / batch.pixels();
    const int column = static_cast<int>(pixel % batch.width);
    const bool mirrored = flip && flip[image];
    const long long from = mirrored ? pixel - column + (batch.width - 1 - column) : pixel;
    y[i] = narrow<T>(c < batch.channels
                         ? static_cast<A>(x[from * batch.channels + c]) * normalisation.factor[c] +
                               normalisation.shift[c]
                         : A(0));
  }
}

/// `flip` (or null): a byte for each image, not 0 to mirror it left to right.
template <class T>
void images_to_nhwc_naive(const unsigned char* x, T* y, const ImageBatch& batch,
                          const Normalisation& normalisation, const unsigned char* flip, Stream stream) {
  const long long size = batch.images * batch.pixels() * batch.padded;
  if (size == 0) return;
  launch(images_to_nhwc_naive_kernel<T>, dim3(grid_blocks(size, 256)), dim3(256), 0, stream, x, y, batch,
         normalisation, flip);
}

KFER_KERNELS_END
