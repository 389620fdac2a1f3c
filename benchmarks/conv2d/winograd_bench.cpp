// Winograd convolution against oneDNN's direct one, layer by layer and pass by pass, both in channel blocks.
//
// Usage: kfer_bench_winograd [part of a layer's name] [seconds a measurement]
// A figure is the least time of many runs, in ms, and the GFLOP/s a direct convolution would need for it.
// Every Winograd result is first compared with oneDNN's. "cached" uses weights transformed beforehand
// (inference).
// The line "rule" says what choose_tile picks (M=0: direct), its speed-up over oneDNN, and the share of the
// best.
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dnnl.hpp>
#include <new>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "kfer/ops/conv2d/winograd_cpu.hpp"

namespace {

using kfer::winograd::ConvShape;
constexpr int B = kfer::simd_width;

double seconds_a_measurement = 0.3;

/// Memory aligned to cache lines.
struct Buffer {
  explicit Buffer(std::int64_t n) : size(n), data(new (std::align_val_t(64)) float[n]) {}
  ~Buffer() { ::operator delete[](data, std::align_val_t(64)); }
  Buffer(const Buffer&) = delete;
  std::span<float> span() { return {data, static_cast<std::size_t>(size)}; }
  void randomise(float scale = 1) {
    std::minstd_rand engine(1);
    for (auto& x : span()) x = (static_cast<float>(engine()) / 2147483648.0f - 0.5f) * scale;
  }
  std::int64_t size;
  float* data;
};

/// Seconds of one run, the least of many. With one thread it is the thread's own time, which other processes
/// do not disturb, else wall-clock time.
template <class F>
double least_seconds(const F& f) {
  const auto now = [clock = kfer::num_threads() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC] {
    timespec t{};
    clock_gettime(clock, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
  };
  f();
  double least = 1e30;
  const double start = now();
  for (int runs = 0; runs < 5 || now() - start < seconds_a_measurement; ++runs) {
    const double t = now();
    f();
    least = std::min(least, now() - t);
  }
  return least;
}

/// FMA throughput of all threads, from registers.
double peak_gflops() {
  constexpr int accumulators = 12;
  constexpr std::int64_t n = 1 << 18;
  using V = kfer::simd_f32<kfer::simd_width>;
  const double seconds = least_seconds([&] {
    kfer::parallel_for(kfer::num_threads(), [&](std::int64_t) {
      V sum[accumulators] = {}, a = V{} + 0.999f;
      const auto hide = [](V& v) { asm volatile("" : "+v"(v)); };  // from the optimiser
      kfer::winograd::unrolled<accumulators>([&](auto i) { hide(sum[i]); });
      for (std::int64_t k = 0; k < n; ++k) {
        hide(a);
        kfer::winograd::unrolled<accumulators>([&](auto i) { sum[i] = sum[i] * a + a; });
      }
      kfer::winograd::unrolled<accumulators>([&](auto i) { hide(sum[i]); });
    });
  });
  return 2.0 * accumulators * kfer::simd_width * n * kfer::num_threads() / seconds * 1e-9;
}

/// oneDNN's direct convolution of one shape, in channel blocks of B.
class Direct {
 public:
  explicit Direct(const ConvShape& s)
      : x(s.batch * s.in_channels * s.height * s.width),
        w(s.out_channels * s.in_channels * s.kernel * s.kernel),
        bias(s.out_channels),
        y(s.batch * s.out_channels * s.out_height() * s.out_width()),
        dx(x.size),
        dw(w.size),
        dbias(s.out_channels) {
    using namespace dnnl;
    using tag = memory::format_tag;
    const auto maps = B == 16 ? tag::nChw16c : tag::nChw8c;
    const auto kernels = B == 16 ? tag::OIhw16i16o : tag::OIhw8i8o;
    const auto type = memory::data_type::f32;
    const memory::dims strides{1, 1}, padding{s.padding, s.padding};
    const memory::desc xd({s.batch, s.in_channels, s.height, s.width}, type, maps),
        yd({s.batch, s.out_channels, s.out_height(), s.out_width()}, type, maps),
        wd({s.out_channels, s.in_channels, s.kernel, s.kernel}, type, kernels),
        any(wd.dims(), type, tag::any), bd({s.out_channels}, type, tag::a);
    const auto algorithm = algorithm::convolution_direct;
    const convolution_forward::primitive_desc forward(
        {prop_kind::forward_training, algorithm, xd, any, bd, yd, strides, padding, padding}, engine_);
    const convolution_backward_data::primitive_desc data({algorithm, xd, any, yd, strides, padding, padding},
                                                         engine_, forward);
    const convolution_backward_weights::primitive_desc weights(
        {algorithm, xd, any, bd, yd, strides, padding, padding}, engine_, forward);
    x.randomise();
    y.randomise();
    w.randomise(2 / std::sqrt(static_cast<float>(s.in_channels * s.kernel * s.kernel)));
    bias.randomise();
    const auto at = [&](const memory::desc& d, const Buffer& b) { return memory(d, engine_, b.data); };
    const auto own = [&](const memory::desc& d) {  // weights in the order that the primitive prefers
      memory m(d, engine_);
      auto from = at(wd, w);
      reorder(from, m).execute(stream_, from, m);
      stream_.wait();
      return m;
    };
    forward_ = convolution_forward(forward);
    data_ = convolution_backward_data(data);
    weights_ = convolution_backward_weights(weights);
    forward_args_ = {{DNNL_ARG_SRC, at(xd, x)},
                     {DNNL_ARG_WEIGHTS, own(forward.weights_desc())},
                     {DNNL_ARG_BIAS, at(bd, bias)},
                     {DNNL_ARG_DST, at(yd, y)}};
    data_args_ = {{DNNL_ARG_DIFF_SRC, at(xd, dx)},
                  {DNNL_ARG_WEIGHTS, own(data.weights_desc())},
                  {DNNL_ARG_DIFF_DST, at(yd, y)}};
    memory dw_own(weights.diff_weights_desc(), engine_), dw_blocked = at(wd, dw);
    weights_args_ = {{DNNL_ARG_SRC, at(xd, x)},
                     {DNNL_ARG_DIFF_DST, at(yd, y)},
                     {DNNL_ARG_DIFF_WEIGHTS, dw_own},
                     {DNNL_ARG_DIFF_BIAS, at(bd, dbias)}};
    reorder_ = reorder(dw_own, dw_blocked);
    reorder_args_ = {{DNNL_ARG_FROM, dw_own}, {DNNL_ARG_TO, dw_blocked}};
  }

  void forward() { run(forward_, forward_args_); }
  void backward_data() { run(data_, data_args_); }
  void backward_weights() { run(weights_, weights_args_); }
  /// `dw` in OIhw{B}i{B}o, from the order in which the primitive left it.
  void reorder_dw() { run(reorder_, reorder_args_); }

  Buffer x, w, bias, y, dx, dw, dbias;

 private:
  using Arguments = std::unordered_map<int, dnnl::memory>;
  void run(dnnl::primitive& p, const Arguments& arguments) {
    p.execute(stream_, arguments);
    stream_.wait();
  }
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  dnnl::primitive forward_, data_, weights_, reorder_;
  Arguments forward_args_, data_args_, weights_args_, reorder_args_;
};

/// Relative rms difference.
double difference(const Buffer& a, const Buffer& b) {
  double d = 0, n = 0;
  for (std::int64_t i = 0; i < a.size; ++i) {
    d += (double{a.data[i]} - b.data[i]) * (double{a.data[i]} - b.data[i]);
    n += double{b.data[i]} * b.data[i];
  }
  return std::sqrt(d / n);
}

void require_close(const char* what, double difference) {
  if (!(difference < 1e-4)) {
    std::printf("\n%s differs from oneDNN: %g\n", what, difference);
    std::exit(1);
  }
}

/// Seconds of: forward, forward with cached weights, backward data, with cached weights, backward weights.
using Times = std::array<double, 5>;

template <int M, int R>
Times winograd_times(const ConvShape& s, Direct& direct) {
  namespace wg = kfer::winograd;
  Buffer y(direct.y.size), dx(direct.x.size), dw(direct.w.size), dbias(s.out_channels);
  Buffer workspace(wg::workspace_floats<M, R>(s));
  Buffer uf(wg::transformed_floats<M, R>(s, wg::Pass::forward)),
      ud(wg::transformed_floats<M, R>(s, wg::Pass::backward_data));
  const wg::BlockedWeights<B> w{direct.w.data};
  const wg::Load<B> x{direct.x.data}, dy{direct.y.data};
  const auto tf = wg::transform_weights<M, R>(s, wg::Pass::forward, w, uf.span());
  const auto td = wg::transform_weights<M, R>(s, wg::Pass::backward_data, w, ud.span());
  Times t{};
  const auto weights = [&] {
    wg::backward_weights<M, R>(s, x, dy, wg::BlockedWeights<B, float>{dw.data}, dbias.data, workspace.span());
  };
  t[0] = least_seconds([&] { wg::forward<M, R>(s, x, w, direct.bias.data, y.data, workspace.span()); });
  direct.forward();
  require_close("forward", difference(y, direct.y));
  t[1] = least_seconds([&] { wg::forward<M, R>(s, x, tf, direct.bias.data, y.data, workspace.span()); });
  t[2] = least_seconds([&] { wg::backward_data<M, R>(s, dy, w, dx.data, workspace.span()); });
  direct.backward_data();
  require_close("backward data", difference(dx, direct.dx));
  t[3] = least_seconds([&] { wg::backward_data<M, R>(s, dy, td, dx.data, workspace.span()); });
  t[4] = least_seconds(weights);
  direct.backward_weights();
  direct.reorder_dw();
  require_close("backward weights", difference(dw, direct.dw));
  require_close("backward bias", difference(dbias, direct.dbias));
  return t;
}

struct Layer {
  const char* name;
  ConvShape shape;
};

const Layer layers[] = {
    {"convnn5 128-64 64px", {64, 128, 64, 64, 64, 5, 2}},
    {"convnn5 64-32 64px", {64, 64, 32, 64, 64, 5, 2}},
    {"convnn3 128-64 64px", {64, 128, 64, 64, 64, 3, 1}},
    {"convnn3 64-32 64px", {64, 64, 32, 64, 64, 3, 1}},
    {"autoenc 32-32 64px", {64, 32, 32, 64, 64, 3, 1}},
    {"autoenc 32-32 32px", {64, 32, 32, 32, 32, 3, 1}},
    {"autoenc 32-32 16px", {64, 32, 32, 16, 16, 3, 1}},
    {"autoenc 32-32 8px", {64, 32, 32, 8, 8, 3, 1}},
    {"resnet64 b16 64c 16px", {16, 64, 64, 16, 16, 3, 1}},
    {"resnet64 b16 128c 8px", {16, 128, 128, 8, 8, 3, 1}},
    {"resnet64 b16 256c 4px", {16, 256, 256, 4, 4, 3, 1}},
    {"resnet64 b16 512c 2px", {16, 512, 512, 2, 2, 3, 1}},
    {"resnet64 b64 64c 16px", {64, 64, 64, 16, 16, 3, 1}},
    {"resnet64 b64 128c 8px", {64, 128, 128, 8, 8, 3, 1}},
    {"resnet64 b64 256c 4px", {64, 256, 256, 4, 4, 3, 1}},
    {"resnet64 b64 512c 2px", {64, 512, 512, 2, 2, 3, 1}},
    {"resnet224 b8 64c 56px", {8, 64, 64, 56, 56, 3, 1}},
    {"resnet224 b8 128c 28px", {8, 128, 128, 28, 28, 3, 1}},
    {"resnet224 b8 256c 14px", {8, 256, 256, 14, 14, 3, 1}},
    {"resnet224 b8 512c 7px", {8, 512, 512, 7, 7, 3, 1}},
};

void report(const Layer& layer) {
  const ConvShape& s = layer.shape;
  const double gflop =
      2e-9 * s.batch * s.in_channels * s.out_channels * s.out_height() * s.out_width() * s.kernel * s.kernel;
  Direct direct(s);
  const auto print = [&](const char* what, double f, double cf, double d, double cd, double w) {
    std::printf("  %-14s", what);
    for (const double t : {f, cf, d, cd, w}) std::printf(" %9.3f %6.0f", t * 1e3, gflop / t);
    std::printf("\n");
    std::fflush(stdout);
  };
  std::printf("%s, batch %d, %.2f GFLOP\n", layer.name, static_cast<int>(s.batch), gflop);
  const double f = least_seconds([&] { direct.forward(); }),
               d = least_seconds([&] { direct.backward_data(); }),
               w = least_seconds([&] { direct.backward_weights(); });
  print("oneDNN direct", f, f, d, d, w);
  using kfer::winograd::Pass;
  const std::optional<int> chosen[] = {kfer::winograd::choose_tile(s, Pass::forward),
                                       kfer::winograd::choose_tile(s, Pass::forward, true),
                                       kfer::winograd::choose_tile(s, Pass::backward_data),
                                       kfer::winograd::choose_tile(s, Pass::backward_data, true),
                                       kfer::winograd::choose_tile(s, Pass::backward_weights)};
  double best[] = {f, f, d, d, w}, ruled[] = {f, f, d, d, w};
  for (const int m : {2, 4, 6})
    kfer::winograd::with_tile(m, s.kernel, [&]<int M, int R>() {
      const Times t = winograd_times<M, R>(s, direct);
      print(kfer::text("F(", M, 'x', M, ',', R, 'x', R, ')').c_str(), t[0], t[1], t[2], t[3], t[4]);
      for (int i = 0; i < 5; ++i) {
        best[i] = std::min(best[i], t[i]);
        if (chosen[i] == M) ruled[i] = t[i];
      }
    });
  std::printf("  %-14s", "rule");
  for (int i = 0; i < 5; ++i)
    std::printf("  M=%d %4.2fx %3.0f%%", chosen[i].value_or(0),
                (i < 2   ? f
                 : i < 4 ? d
                         : w) /
                    ruled[i],
                100 * best[i] / ruled[i]);
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string filter = argc > 1 ? argv[1] : "";
  if (argc > 2) seconds_a_measurement = std::atof(argv[2]);
  std::printf("%d threads, channel blocks of %d, FMA peak %.0f GFLOP/s\n", kfer::num_threads(), B,
              peak_gflops());
  std::printf("  %-14s %16s %16s %16s %16s %16s\n", "ms GFLOP/s", "forward", "cached", "backward data",
              "cached", "backward weights");
  for (const Layer& layer : layers)
    if (std::strstr(layer.name, filter.c_str())) report(layer);
}
