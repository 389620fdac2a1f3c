// The three passes of a convolution on any step of the ladder: choice of vectors, residue classes, split of
// the depth, and the second pass that adds the splits up.
#pragma once

#include "gemm_view.cuh"

KFER_KERNELS_BEGIN

/// Whether vectors of channels can be used: they fill both sides' groups, and memory is aligned.
template <class T, class... P>
bool conv_vectors(const ConvShape& s, const P*... p) {
  return s.group_in() % vec_width<T> == 0 && s.group_out() % vec_width<T> == 0 && aligned16(p...);
}

template <class Step, class T>
void conv_forward_by(const ConvShape& s, const T* x, const T* w, const T* bias, bool relu, T* y,
                     Stream stream) {
  const auto gemm = forward_gemm<typename Step::Divisor>(s, x, w, bias, relu, y);
  if (gemm.m && gemm.n) Step::run(gemm, conv_vectors<T>(s, x, w, y), stream);
}

/// One launch a residue class of the strides. Classes that no tap reaches have depth 0, and get zeros.
template <class Step, class T>
void conv_backward_data_by(const ConvShape& s, const T* w, const T* dy, T* dx, Stream stream) {
  for (int row = 0; row < s.stride_height && row < s.height; ++row)
    for (int column = 0; column < s.stride_width && column < s.width; ++column) {
      const auto gemm = data_gemm<typename Step::Divisor>(s, row, column, w, dy, dx);
      if (gemm.m && gemm.n) Step::run(gemm, conv_vectors<T>(s, w, dy, dx), stream);
    }
}

/// How the depth of a gradient of weights is cut. Its result is small (the weights) and its depth long (all
/// pixels), so a block a tile would leave most of the device idle. A function of shape and device alone, so
/// that a run repeats itself.
struct ConvSplits {
  int count, depth;

  static ConvSplits of(const ConvShape& s, int tile_m, int tile_n) {
    constexpr int least_depth = 256, most = 128, step = 32;
    const long long tiles = div_up(s.group_out(), tile_m) * div_up(s.filter(), tile_n) * s.groups;
    const long long pixels = s.out_pixels(), fill = div_up(4ll * multiprocessors(), tiles ? tiles : 1),
                    longest = div_up(pixels, least_depth);
    const long long wanted = fill < longest ? fill : longest;
    const long long count = wanted < 1 ? 1 : wanted < most ? wanted : most;
    const int depth = static_cast<int>(div_up(div_up(pixels, count), step) * step);
    return depth ? ConvSplits{static_cast<int>(div_up(pixels, depth)), depth} : ConvSplits{1, 0};
  }
};

/// dw[i] = the sum of split[i] over the splits, in their order.
template <class T, int N>
__global__ void __launch_bounds__(256) conv_add_splits(const accum_t<T>* __restrict__ partial, int splits,
                                                       long long weights, T* __restrict__ dw) {
  using Acc = accum_t<T>;
  const long long vectors = weights / N, stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < vectors;
       i += stride) {
    Vec<Acc, N> sum{};
#pragma unroll 4
    for (int s = 0; s < splits; ++s) {
      const Vec<Acc, N> part = load_vec<N>(partial + s * weights, i);
#pragma unroll
      for (int e = 0; e < N; ++e) sum[e] += part[e];
    }
    Vec<T, N> out;
#pragma unroll
    for (int e = 0; e < N; ++e) out[e] = narrow<T>(sum[e]);
    store_vec(dw, i, out);
  }
}

template <class T>
void conv_add_splits_of(const accum_t<T>* partial, int splits, long long weights, T* dw, Stream stream) {
  constexpr int N = vec_width<accum_t<T>>;
  if (weights == 0) return;
  if (weights % N == 0 && aligned16(partial, dw))
    launch(conv_add_splits<T, N>, dim3(grid_blocks(weights / N, 256)), dim3(256), 0, stream, partial, splits,
           weights, dw);
  else
    launch(conv_add_splits<T, 1>, dim3(grid_blocks(weights, 256)), dim3(256), 0, stream, partial, splits,
           weights, dw);
}

/// Bytes that conv_backward_weights_by needs for partial sums; 0 if the sums go straight into dw.
template <class Step, class T>
std::size_t conv_backward_weights_workspace_by(const ConvShape& s) {
  const int splits = ConvSplits::of(s, Step::template Tile<T>::m, Step::template Tile<T>::n).count;
  if (splits == 1 && sizeof(T) == sizeof(accum_t<T>)) return 0;
  return static_cast<std::size_t>(splits) * static_cast<std::size_t>(s.weights()) * sizeof(accum_t<T>);
}

template <class Step, class T>
void conv_backward_weights_by(const ConvShape& s, const T* x, const T* dy, T* dw, void* workspace,
                              Stream stream) {
  using Acc = accum_t<T>;
  const auto splits = ConvSplits::of(s, Step::template Tile<T>::m, Step::template Tile<T>::n);
  const bool direct = conv_backward_weights_workspace_by<Step, T>(s) == 0;
  Acc* partial = static_cast<Acc*>(direct ? static_cast<void*>(dw) : workspace);
  const auto gemm = weights_gemm<typename Step::Divisor>(s, x, dy, partial, splits.count, splits.depth);
  if (gemm.m == 0 || gemm.n == 0) return;
  Step::run(gemm, conv_vectors<T>(s, x, dy) && aligned16(partial), stream);
  if (!direct) conv_add_splits_of<T>(partial, splits.count, s.weights(), dw, stream);
}

KFER_KERNELS_END
