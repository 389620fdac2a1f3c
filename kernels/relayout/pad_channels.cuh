// [batch, channels, pixels] or [batch, pixels, channels] to [batch, pixels, 8], the channels past the last
// being zero: images of 3 channels for tensor cores, which want 8.
//
// A pixel a thread: neighbouring threads read neighbouring pixels of each channel, and write 8 channels as
// one or two vectors of 16 bytes. Reads batch channels pixels elements, writes 8 / channels times as many.
#pragma once

#include "3_vectorised.cuh"

KFER_KERNELS_BEGIN

/// Any grid. x's element (pixel p, channel c) of an image is at p * pixel_step + c * channel_step. y is
/// aligned to 16 bytes; channels <= 8.
template <class In, class Out>
__global__ void __launch_bounds__(256)
    pad_channels(const In* __restrict__ x, Out* __restrict__ y, long long batch, long long pixels,
                 int channels, long long pixel_step, long long channel_step) {
  constexpr int N = vec_width<Out>, width = 8;
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x, size = batch * pixels;
  for (long long at = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; at < size;
       at += stride) {
    const In* from = x + at / pixels * pixels * channels + at % pixels * pixel_step;
    In v[width] = {};
#pragma unroll
    for (int c = 0; c < width; ++c)
      if (c < channels) v[c] = from[c * channel_step];
#pragma unroll
    for (int g = 0; g < width / N; ++g) {
      Vec<Out, N> out;
#pragma unroll
      for (int k = 0; k < N; ++k) out[k] = g * N + k < channels ? Convert<Out, In>{}(v[g * N + k]) : Out{};
      store_vec(y, at * (width / N) + g, out);
    }
  }
}

KFER_KERNELS_END
