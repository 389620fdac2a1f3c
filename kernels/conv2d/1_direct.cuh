// Convolution by its definition: a thread an element of the result.
//
// Work: 2 N P Q O KH KW I / groups FLOPs for any of the three passes. Bytes that must move: x, w and y once
// each, sizeof(T) (N H W I + O KH KW I / groups + N P Q O). For a 3 x 3 convolution of 64 channels on 56 x 56
// in bf16 that is 2 * 9 * 64 * 64 FLOPs against 256 bytes a pixel, 288 FLOPs a byte: limited by arithmetic,
// on tensor cores just so. But here each multiplication fetches both its factors: 2 loads for 2 FLOPs. Caches
// absorb most of it (neighbouring threads share a pixel's channels or an output channel's weights, nothing is
// shared on purpose), and the kernel is limited by how many loads a multiprocessor can issue.
//
// Launch: one-dimensional, channels fastest, so that a warp writes neighbouring channels of a pixel. For the
// gradient of the weights a thread walks over every pixel of the batch, and there are few threads.
// It wins nowhere; it is what the others are compared with.
#pragma once

#include "../common/grid.cuh"
#include "../common/vec.cuh"
#include "shape.cuh"

KFER_KERNELS_BEGIN

/// Calls `visit(i)` for this thread's share of [0, n).
template <class Visit>
__device__ inline void conv_grid_stride(long long n, const Visit& visit) {
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride)
    visit(i);
}

/// Offset of pixel (n, row, column) in an NHWC tensor.
__device__ inline long long nhwc(int n, int row, int column, int height, int width, int channels) {
  return ((static_cast<long long>(n) * height + row) * width + column) * channels;
}

template <class T>
__global__ void __launch_bounds__(256)
    conv_forward_direct(ConvShape s, const T* __restrict__ x, const T* __restrict__ w,
                        const T* __restrict__ bias, bool relu, T* __restrict__ y) {
  using Acc = accum_t<T>;
  conv_grid_stride(static_cast<long long>(s.out_pixels()) * s.out_channels, [&](long long i) {
    const int o = static_cast<int>(i % s.out_channels), pixel = static_cast<int>(i / s.out_channels);
    const int q = pixel % s.out_width, p = pixel / s.out_width % s.out_height,
              n = pixel / s.out_width / s.out_height;
    const int group = o / s.group_out();
    Acc sum = bias ? widen(bias[o]) : Acc(0);
    for (int u = 0; u < s.kernel_height; ++u)
      for (int v = 0; v < s.kernel_width; ++v) {
        const int row = p * s.stride_height + u * s.dilation_height - s.padding_height,
                  column = q * s.stride_width + v * s.dilation_width - s.padding_width;
        if (row < 0 || row >= s.height || column < 0 || column >= s.width) continue;
        const T* px = x + nhwc(n, row, column, s.height, s.width, s.in_channels) + group * s.group_in();
        const T* pw = w + (static_cast<long long>(o) * s.taps() + u * s.kernel_width + v) * s.group_in();
        for (int c = 0; c < s.group_in(); ++c) sum += widen(px[c]) * widen(pw[c]);
      }
    y[i] = narrow<T>(relu && sum < Acc(0) ? Acc(0) : sum);
  });
}

/// In gather form: which pixels of y did this pixel of x go to, and by which tap? No atomics.
template <class T>
__global__ void __launch_bounds__(256, 4)
    conv_backward_data_direct(ConvShape s, const T* __restrict__ w, const T* __restrict__ dy,
                              T* __restrict__ dx) {
  using Acc = accum_t<T>;
  conv_grid_stride(static_cast<long long>(s.in_pixels()) * s.in_channels, [&](long long i) {
    const int channel = static_cast<int>(i % s.in_channels), pixel = static_cast<int>(i / s.in_channels);
    const int column = pixel % s.width, row = pixel / s.width % s.height, n = pixel / s.width / s.height;
    const int group = channel / s.group_in(), c = channel % s.group_in();
    Acc sum = 0;
    for (int u = 0; u < s.kernel_height; ++u)
      for (int v = 0; v < s.kernel_width; ++v) {
        const int h = row + s.padding_height - u * s.dilation_height,
                  k = column + s.padding_width - v * s.dilation_width;
        if (h < 0 || k < 0 || h % s.stride_height || k % s.stride_width) continue;
        const int p = h / s.stride_height, q = k / s.stride_width;
        if (p >= s.out_height || q >= s.out_width) continue;
        const T* pd = dy + nhwc(n, p, q, s.out_height, s.out_width, s.out_channels) + group * s.group_out();
        const T* pw = w + static_cast<long long>(group) * s.group_out() * s.filter() +
                      (u * s.kernel_width + v) * s.group_in() + c;
        for (int o = 0; o < s.group_out(); ++o)
          sum += widen(pd[o]) * widen(pw[static_cast<long long>(o) * s.filter()]);
      }
    dx[i] = narrow<T>(sum);
  });
}

template <class T>
__global__ void __launch_bounds__(256)
    conv_backward_weights_direct(ConvShape s, const T* __restrict__ x, const T* __restrict__ dy,
                                 T* __restrict__ dw) {
  using Acc = accum_t<T>;
  conv_grid_stride(s.weights(), [&](long long i) {
    const int o = static_cast<int>(i / s.filter()), rest = static_cast<int>(i % s.filter());
    const int c = rest % s.group_in(), tap = rest / s.group_in(), v = tap % s.kernel_width,
              u = tap / s.kernel_width;
    const int channel = o / s.group_out() * s.group_in() + c;
    Acc sum = 0;
    for (int n = 0; n < s.batch; ++n)
      for (int p = 0; p < s.out_height; ++p)
        for (int q = 0; q < s.out_width; ++q) {
          const int row = p * s.stride_height + u * s.dilation_height - s.padding_height,
                    column = q * s.stride_width + v * s.dilation_width - s.padding_width;
          if (row < 0 || row >= s.height || column < 0 || column >= s.width) continue;
          sum += widen(x[nhwc(n, row, column, s.height, s.width, s.in_channels) + channel]) *
                 widen(dy[nhwc(n, p, q, s.out_height, s.out_width, s.out_channels) + o]);
        }
    dw[i] = narrow<T>(sum);
  });
}

template <class T>
void conv_forward_by_definition(const ConvShape& s, const T* x, const T* w, const T* bias, bool relu, T* y,
                                Stream stream) {
  if (const long long n = static_cast<long long>(s.out_pixels()) * s.out_channels)
    launch(conv_forward_direct<T>, dim3(grid_blocks(n, 256)), dim3(256), 0, stream, s, x, w, bias, relu, y);
}
template <class T>
void conv_backward_data_by_definition(const ConvShape& s, const T* w, const T* dy, T* dx, Stream stream) {
  if (const long long n = static_cast<long long>(s.in_pixels()) * s.in_channels)
    launch(conv_backward_data_direct<T>, dim3(grid_blocks(n, 256)), dim3(256), 0, stream, s, w, dy, dx);
}
template <class T>
void conv_backward_weights_by_definition(const ConvShape& s, const T* x, const T* dy, T* dw, Stream stream) {
  if (const long long n = s.weights())
    launch(conv_backward_weights_direct<T>, dim3(grid_blocks(n, 256)), dim3(256), 0, stream, s, x, dy, dw);
}

KFER_KERNELS_END
