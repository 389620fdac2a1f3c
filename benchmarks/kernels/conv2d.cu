// Convolutions of NHWC activations: the layers of ResNet50 for images of 64 x 64 and 224 x 224, all three
// passes. In float by multiply-adds, in float as TF32 and in bf16, the last two on tensor cores.
#include "bench.cuh"
#include "cublaslt.cuh"
#include "kfer/kernels/conv2d/1_direct.cuh"
#include "kfer/kernels/conv2d/2_implicit_gemm_tile.cuh"
#include "kfer/kernels/conv2d/3_register_tile.cuh"
#include "kfer/kernels/conv2d/5_tensor_core.cuh"
#include "kfer/kernels/conv2d/shipped.cuh"
#if defined(__CUDACC__)
#include "kfer/device/cudnn/context.hpp"
#endif

namespace k = kfer::kernels;

namespace {

k::ConvShape shape(int batch, int side, int in, int out, int kernel, int stride) {
  const int padding = kernel / 2, out_side = (side + 2 * padding - kernel) / stride + 1;
  return {.batch = batch,
          .height = side,
          .width = side,
          .in_channels = in,
          .out_height = out_side,
          .out_width = out_side,
          .out_channels = out,
          .kernel_height = kernel,
          .kernel_width = kernel,
          .stride_height = stride,
          .stride_width = stride,
          .padding_height = padding,
          .padding_width = padding};
}

#if defined(__CUDACC__)
enum class Pass { forward, backward_data, backward_weights };

/// One pass by cuDNN's fastest plan.
template <class T>
void cudnn_pass(Pass pass, const k::ConvShape& s, const std::string& name, bool tf32, const void* x,
                const void* w, const void* y) {
  using namespace kfer::cudnn;
  const auto make = [&] {
    Graph g;
    const auto type = data_type<std::conditional_t<sizeof(T) == 4, float, kfer::bfloat16>>();
    const auto vx = g.tensor(1, {s.batch, s.in_channels, s.height, s.width}, type);
    const auto vw = g.tensor(2, {s.out_channels, s.in_channels, s.kernel_height, s.kernel_width}, type);
    const auto vy = g.tensor(3, {s.batch, s.out_channels, s.out_height, s.out_width}, type);
    const Window window{.padding = {s.padding_height, s.padding_width},
                        .stride = {s.stride_height, s.stride_width}};
    if (pass == Pass::forward) g.conv_forward(vx, vw, vy, window);
    if (pass == Pass::backward_data) g.conv_backward_data(vy, vw, vx, window);
    if (pass == Pass::backward_weights) g.conv_backward_weights(vy, vx, vw, window);
    return g;
  };
  const Operand operands[] = {{1, x}, {2, w}, {3, y}};
  if (!Context::instance().run(name, make, operands, {.math = {.strict_fp32 = sizeof(T) == 4 && !tf32}}))
    throw std::runtime_error("no engine");
}
#endif

/// tf32: float on tensor cores. All of a case give what is asked for to one precision.
template <class T>
void layer(bench::Suite& suite, const k::ConvShape& s, bool tf32) {
  const long long in_size = static_cast<long long>(s.in_pixels()) * s.in_channels,
                  out_size = static_cast<long long>(s.out_pixels()) * s.out_channels;
  const auto spread = [](double terms) { return std::sqrt(3 / terms); };  // results have a deviation below 1
  const auto in = bench::random_values<T>(in_size, 1),
             filter = bench::random_values<T>(s.weights(), 2, -spread(s.filter()), spread(s.filter())),
             upstream = bench::random_values<T>(out_size, 3, -spread(s.out_pixels()), spread(s.out_pixels())),
             // for the gradient of x, whose sums are as short as forward's
      steep = bench::random_values<T>(out_size, 4);
  const bench::Array<T> x(in), w(filter), dy(upstream), dy_data(steep), y(out_size), dx(in_size),
      dw(s.weights());
  const bench::Work work{.bytes = static_cast<double>(in_size + out_size + s.weights()) * sizeof(T),
                         .flops = 2.0 * static_cast<double>(out_size) * s.filter()};
  const std::string size = bench::text("%dx%d/%d %d to %d, %d of %d x %d, %s", s.kernel_height,
                                       s.kernel_width, s.stride_height, s.in_channels, s.out_channels,
                                       s.batch, s.height, s.width, tf32 ? "TF32" : bench::type_name<T>);
  const double close = tf32 ? 3e-3 : bench::tolerance<T>(2e-5);
  const bool simple = !tf32 && work.flops < 3e9, middle = !tf32;  // the first steps take long for more
  const auto by_steps = [&](const auto& by) {
    if (simple) by("2_implicit_gemm_tile", k::ConvImplicitGemmTile{});
    if (middle) by("3_register_tile", k::ConvRegisterTile{});
    if (middle) by("4_double_buffer", k::ConvDoubleBuffer{});
    if (tf32 || sizeof(T) == 2) by("5_tensor_core", k::ConvTensorCore{});
  };
  const auto stream = bench::stream();
  const auto pixel = [](int n, int row, int column, int height, int width) {
    return (static_cast<long long>(n) * height + row) * width + column;
  };

  auto forward = suite.make_case("forward, " + size, work);
  forward.expect(
      y,
      [&](std::size_t at) {
        const int o = static_cast<int>(at % s.out_channels), to = static_cast<int>(at / s.out_channels),
                  q = to % s.out_width, p = to / s.out_width % s.out_height,
                  n = to / s.out_width / s.out_height;
        double sum = 0;
        for (int u = 0; u < s.kernel_height; ++u)
          for (int v = 0; v < s.kernel_width; ++v) {
            const int row = p * s.stride_height + u - s.padding_height,
                      column = q * s.stride_width + v - s.padding_width;
            if (row < 0 || row >= s.height || column < 0 || column >= s.width) continue;
            const T* px = in.data() + pixel(n, row, column, s.height, s.width) * s.in_channels;
            const T* pw = filter.data() +
                          (static_cast<long long>(o) * s.taps() + u * s.kernel_width + v) * s.in_channels;
            for (int c = 0; c < s.in_channels; ++c) sum += bench::number(px[c]) * bench::number(pw[c]);
          }
        return sum;
      },
      close, 4096);
  const auto forward_by = [&]<class Step>(const char* name, Step) {
    forward.variant(name, [&] {
      k::conv_forward_by<Step>(s, x.data(), w.data(), static_cast<const T*>(nullptr), false, y.data(),
                               stream);
    });
  };
  if (simple)
    forward.variant("1_direct", [&] {
      k::conv_forward_by_definition(s, x.data(), w.data(), static_cast<const T*>(nullptr), false, y.data(),
                                    stream);
    });
  by_steps(forward_by);
  forward.variant("shipped", [&] {
    k::conv2d_forward(s, x.data(), w.data(), static_cast<const T*>(nullptr), false, y.data(), stream, tf32);
  });
#if defined(__CUDACC__)
  forward.library("cuDNN", [&] {
    cudnn_pass<T>(Pass::forward, s, "forward, " + size, tf32, x.data(), w.data(), y.data());
  });
#endif

  auto data = suite.make_case("gradient of x, " + size, work);
  data.expect(
      dx,
      [&](std::size_t at) {
        const int c = static_cast<int>(at % s.in_channels), from = static_cast<int>(at / s.in_channels),
                  column = from % s.width, row = from / s.width % s.height, n = from / s.width / s.height;
        double sum = 0;
        for (int u = 0; u < s.kernel_height; ++u)
          for (int v = 0; v < s.kernel_width; ++v) {
            const int h = row + s.padding_height - u, l = column + s.padding_width - v;
            if (h < 0 || l < 0 || h % s.stride_height || l % s.stride_width) continue;
            const int p = h / s.stride_height, q = l / s.stride_width;
            if (p >= s.out_height || q >= s.out_width) continue;
            const T* pd = steep.data() + pixel(n, p, q, s.out_height, s.out_width) * s.out_channels;
            for (int o = 0; o < s.out_channels; ++o)
              sum +=
                  bench::number(pd[o]) *
                  bench::number(
                      filter[(static_cast<long long>(o) * s.taps() + u * s.kernel_width + v) * s.in_channels +
                             c]);
          }
        return sum;
      },
      close, 4096);
  const auto data_by = [&]<class Step>(const char* name, Step) {
    data.variant(name,
                 [&] { k::conv_backward_data_by<Step>(s, w.data(), dy_data.data(), dx.data(), stream); });
  };
  if (simple)
    data.variant("1_direct", [&] {
      k::conv_backward_data_by_definition(s, w.data(), dy_data.data(), dx.data(), stream);
    });
  by_steps(data_by);
  data.variant("shipped",
               [&] { k::conv2d_backward_data(s, w.data(), dy_data.data(), dx.data(), stream, tf32); });
#if defined(__CUDACC__)
  data.library("cuDNN", [&] {
    cudnn_pass<T>(Pass::backward_data, s, "gradient of x, " + size, tf32, dx.data(), w.data(),
                  dy_data.data());
  });
#endif

  auto weights = suite.make_case("gradient of w, " + size, work);
  weights.expect(
      dw,
      [&](std::size_t at) {
        const int c = static_cast<int>(at % s.in_channels),
                  tap = static_cast<int>(at / s.in_channels % s.taps()),
                  o = static_cast<int>(at / s.in_channels / s.taps()), u = tap / s.kernel_width,
                  v = tap % s.kernel_width;
        double sum = 0;
        for (int n = 0; n < s.batch; ++n)
          for (int p = 0; p < s.out_height; ++p)
            for (int q = 0; q < s.out_width; ++q) {
              const int row = p * s.stride_height + u - s.padding_height,
                        column = q * s.stride_width + v - s.padding_width;
              if (row < 0 || row >= s.height || column < 0 || column >= s.width) continue;
              sum += bench::number(in[pixel(n, row, column, s.height, s.width) * s.in_channels + c]) *
                     bench::number(upstream[pixel(n, p, q, s.out_height, s.out_width) * s.out_channels + o]);
            }
        return sum;
      },
      tf32 || sizeof(T) == 2 ? close : 5e-5, s.out_pixels() > 4096 ? 64 : 1 << 14);
  const auto weights_by = [&]<class Step>(const char* name, Step) {
    const bench::Array<unsigned char> workspace(k::conv_backward_weights_workspace_by<Step, T>(s));
    weights.variant(name, [&] {
      k::conv_backward_weights_by<Step>(s, x.data(), dy.data(), dw.data(), workspace.data(), stream);
    });
  };
  if (simple)
    weights.variant("1_direct", [&] {
      k::conv_backward_weights_by_definition(s, x.data(), dy.data(), dw.data(), stream);
    });
  by_steps(weights_by);
  const bench::Array<unsigned char> workspace(k::conv2d_backward_weights_workspace<T>(s, tf32));
  weights.variant("shipped", [&] {
    k::conv2d_backward_weights(s, x.data(), dy.data(), dw.data(), workspace.data(), stream, tf32);
  });
#if defined(__CUDACC__)
  weights.library("cuDNN", [&] {
    cudnn_pass<T>(Pass::backward_weights, s, "gradient of w, " + size, tf32, x.data(), dw.data(), dy.data());
  });
#endif
}

void all_types(bench::Suite& suite, const k::ConvShape& s) {
  layer<float>(suite, s, false);
  layer<float>(suite, s, true);
  layer<bench::bf16>(suite, s, false);
}

}  // namespace

int main(int argc, char** argv) {
#if defined(__CUDACC__)
  bench::use_stream([] { return kfer::Cuda::stream(); });
#endif
  bench::Suite suite("conv2d", argc, argv);
#if defined(__CUDACC__)
  bench::measure_flop_ceiling(suite);
#endif
  all_types(suite, shape(2, 7, 3, 5, 3, 1));
  all_types(suite, shape(1, 9, 16, 24, 3, 2));
  all_types(suite, shape(2, 6, 16, 8, 1, 1));
  if (!suite.begin_timing()) return suite.finish();
  all_types(suite, shape(64, 16, 64, 64, 3, 1));
  all_types(suite, shape(128, 224, 8, 64, 7, 2));  // three channels, padded
  all_types(suite, shape(128, 56, 64, 64, 3, 1));
  all_types(suite, shape(128, 56, 256, 64, 1, 1));
  all_types(suite, shape(128, 14, 256, 256, 3, 1));
  return suite.finish();
}
