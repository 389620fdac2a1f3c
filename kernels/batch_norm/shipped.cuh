// The batch normalisation that ships: two stages over NHWC, x being [rows, channels]. Parameters and
// statistics are accum_t<T>: float where x is bf16.
#pragma once

#include "../common/specialise.cuh"
#include "3_two_stage.cuh"

KFER_KERNELS_BEGIN

namespace batch_norm_detail {
/// Calls `run(width, slices, groups)`, unless there is nothing: the width of the vectors of channels, known
/// when compiling, and how rows of so many groups of them are cut.
template <class T, class Run, class... Pointers>
void with_slices(long long rows, long long channels, const Run& run, const Pointers*... pointers) {
  if (rows == 0 || channels == 0) return;
  with_vector_width<T>(
      channels, [&](auto width) { run(width, column_slices(rows, channels / width), channels / width); },
      pointers...);
}
/// Calls `run(passed)`, known when compiling: y read if it is given, else the sign follows from x if beta is
/// given, else there was no ReLU.
template <class Run>
void with_passed(bool y, bool beta, const Run& run) {
  if (beta)
    run(std::integral_constant<Passed, Passed::recomputed>());
  else if (y)
    run(std::integral_constant<Passed, Passed::read>());
  else
    run(std::integral_constant<Passed, Passed::everywhere>());
}
/// The grid of a kernel that streams over rows, `per_thread` of them at a time.
inline dim3 stream_grid(long long rows, const ColumnSlices& shape, int per_thread) {
  const long long most = static_cast<long long>(multiprocessors()) * 32 / shape.tiles,
                  wanted = div_up(rows, static_cast<long long>(shape.block.y) * per_thread),
                  down = wanted < most ? wanted : most;
  return dim3(static_cast<unsigned>(shape.tiles), static_cast<unsigned>(down < 1 ? 1 : down));
}
}  // namespace batch_norm_detail

/// Bytes of device memory that the two reductions below need as `scratch`, 16-byte aligned.
inline long long batch_norm_scratch_bytes(long long rows, long long channels) {
  // The scalar path has the most tiles, the vectorised ones the most slices: of each slice, all channels.
  long long slices = 1;
  for (const long long width : {1, 2, 4, 8}) {
    const long long n = column_slices(rows, div_up(channels, width)).slices;
    slices = n > slices ? n : slices;
  }
  return slices * channels * static_cast<long long>(sizeof(Moments));
}

/// mean and inverse = 1 / sqrt(variance + eps) of each channel of x; moves the running statistics towards
/// them by `momentum` (there the variance is the unbiased one) unless they are null. rows >= 1.
template <class T>
void batch_norm_statistics(const T* x, long long rows, long long channels, double eps, double momentum,
                           accum_t<T>* mean, accum_t<T>* inverse, accum_t<T>* running_mean,
                           accum_t<T>* running_var, void* scratch, Stream stream) {
  const auto partial = static_cast<Moments*>(scratch);
  batch_norm_detail::with_slices<T>(
      rows, channels,
      [&](auto width, const ColumnSlices& s, long long groups) {
        constexpr int N = width;
        launch(batch_norm_moments<T, N>, s.grid(), s.block, join_rows_shared(N, 256), stream, x, partial,
               rows, groups, s.slice_rows);
        launch(batch_norm_join_moments<accum_t<T>>, dim3(static_cast<unsigned>(div_up(channels, 32))),
               dim3(32, 32), join_rows_shared(1, 1024), stream, partial, rows, channels, s.slices,
               s.slice_rows, eps, momentum, mean, inverse, running_mean, running_var);
      },
      x);
}

/// The same from the running statistics: for inference and frozen layers.
template <class P>
void batch_norm_frozen_statistics(const P* running_mean, const P* running_var, long long channels, double eps,
                                  P* mean, P* inverse, Stream stream) {
  if (channels == 0) return;
  launch(batch_norm_frozen<P>, dim3(static_cast<unsigned>(div_up(channels, 256))), dim3(256), 0, stream,
         running_mean, running_var, channels, eps, mean, inverse);
}

/// y = relu?((x - mean) * inverse * gamma + beta + residual?); residual may be null.
template <class T>
void batch_norm_normalise(const T* x, const T* residual, T* y, long long rows, long long channels,
                          const BatchNormChannels<accum_t<T>>& table, bool relu, Stream stream) {
  batch_norm_detail::with_slices<T>(
      rows, channels,
      [&](auto width, const ColumnSlices& s, long long groups) {
        constexpr int N = width;
        with_flag(residual != nullptr, [&](auto add) {
          with_flag(relu, [&](auto clamp) {
            launch(batch_norm_normalise_kernel<T, N, decltype(add)::value, decltype(clamp)::value>,
                   batch_norm_detail::stream_grid(rows, s, 4), s.block, 0, stream, x, residual, y, rows,
                   groups, table);
          });
        });
      },
      x, residual, y);
}

/// dbeta = sum of g and dgamma = sum of g (x - mean) * inverse for each channel, where g is dy where the ReLU
/// passed. With table.beta the sign of the result follows from x, else from y, if that is not null, else
/// there was no ReLU. g is written to `masked` unless that is null or there was no ReLU; it may be dy itself.
template <class T>
void batch_norm_gradient_sums(const T* x, const T* y, const T* dy, T* masked, long long rows,
                              long long channels, const BatchNormChannels<accum_t<T>>& table,
                              accum_t<T>* dgamma, accum_t<T>* dbeta, void* scratch, Stream stream) {
  const auto partial = static_cast<Moments*>(scratch);
  batch_norm_detail::with_slices<T>(
      rows, channels,
      [&](auto width, const ColumnSlices& s, long long groups) {
        constexpr int N = width;
        batch_norm_detail::with_passed(y, table.beta, [&](auto passed) {
          launch(batch_norm_partial_sums<T, N, decltype(passed)::value>, s.grid(), s.block,
                 add_rows_shared<2 * N, double>(), stream, x, y, dy, masked, partial, rows, groups,
                 s.slice_rows, table);
        });
        launch(batch_norm_join_sums<accum_t<T>>, dim3(static_cast<unsigned>(div_up(channels, 32))),
               dim3(32, 32), 0, stream, partial, channels, s.slices, table.inverse, dgamma, dbeta);
      },
      x, y, dy, masked);
}

/// The gradient of x, from the sums above, or with frozen statistics if they are null; and g, the residual's
/// gradient, to `masked` unless that is null. dx, or masked, may be dy itself; dx may be null.
template <class T>
void batch_norm_gradient(const T* x, const T* y, const T* dy, T* dx, T* masked, long long rows,
                         long long channels, const BatchNormChannels<accum_t<T>>& table,
                         const accum_t<T>* dgamma, const accum_t<T>* dbeta, Stream stream) {
  batch_norm_detail::with_slices<T>(
      rows, channels,
      [&](auto width, const ColumnSlices& s, long long groups) {
        constexpr int N = width;
        batch_norm_detail::with_passed(y, table.beta, [&](auto passed) {
          with_flag(dgamma != nullptr, [&](auto centred) {
            launch(batch_norm_gradient_kernel<T, N, decltype(passed)::value, decltype(centred)::value>,
                   batch_norm_detail::stream_grid(rows, s, 2), s.block, 0, stream, x, y, dy, dx, masked, rows,
                   groups, table, dgamma, dbeta);
          });
        });
      },
      x, y, dy, dx, masked);
}

KFER_KERNELS_END
