// Times the operations of the Cpu at the shapes of the bundled models (batch 64, images of 64 x 64) and sets
// the bytes that each must move against the speed of a plain copy, measured in the same run.
//
//     kfer_ops_bench [part of a name]
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>

#include "kfer/ops/ops.hpp"

using namespace kfer;

namespace {

/// Seconds of the fastest of many runs: other programs only ever add time.
template <class F>
double fastest(const F& f) {
  using clock = std::chrono::steady_clock;
  double best = 1e9;
  const auto until = clock::now() + std::chrono::milliseconds(400);
  for (int run = 0; run < 5 || clock::now() < until; ++run) {
    const auto start = clock::now();
    f();
    best = std::min(best, std::chrono::duration<double>(clock::now() - start).count());
  }
  return best;
}

std::string filter;
double copy_speed = 0;

/// `bytes`: what the operation must at least read and write.
template <class F>
void time(const std::string& name, double bytes, const F& f) {
  if (name.find(filter) == std::string::npos) return;
  const double s = fastest(f);
  std::printf("%-52s %9.3f ms %7.1f GB/s %5.0f %% of copy\n", name.c_str(), s * 1e3, bytes / s * 1e-9,
              copy_speed > 0 ? 100 * bytes / s / copy_speed : 100.0);
  std::fflush(stdout);
}

using Tn = Tensor<float, Cpu>;
Tn blocked(const Shape& shape, std::uint64_t seed) {
  return uniform<float, Cpu>(shape, {.seed = seed, .stream = 0}, -1, 1)
      .to(shape[1] % simd_width ? Layout::row_major(4) : Layout::channel_blocked(simd_width));
}
double bytes(const Shape& shape) {
  return static_cast<double>(shape.numel()) * sizeof(float);
}

void copy() {
  const std::int64_t n = std::int64_t{1} << 24;
  Tn a = zeros<float, Cpu>({n}), b = zeros<float, Cpu>({n});
  const float* from = a.data();
  float* to = b.mutable_data();
  copy_speed = 0;
  const double s = fastest([&] {
    parallel_ranges(n, 4096, [=](int, std::int64_t begin, std::int64_t end) {
      std::memcpy(to + begin, from + begin, static_cast<std::size_t>(end - begin) * sizeof(float));
    });
  });
  copy_speed = 8.0 * static_cast<double>(n) / s;
  std::printf("copy of 64 MiB: %.1f GB/s, %d threads, %d lanes\n", copy_speed * 1e-9, num_threads(),
              simd_width);
}

void linear_layers() {
  for (const std::int64_t in : {131072, 12288, 2048}) {
    const LinearShape s{64, in, 24, {64, 24}};
    const Tn x = uniform<float, Cpu>({64, in}, {1, 0}),
             w = uniform<float, Cpu>({24, in}, {2, 0}, -0.01, 0.01);
    const Tn b = zeros<float, Cpu>({24}), dy = uniform<float, Cpu>({64, 24}, {3, 0}, -1, 1);
    const std::string name = text("linear ", in, " -> 24 ");
    const double traffic = bytes(x.shape()) + bytes(w.shape());
    using impl = linear_impl<float, Cpu>;
    time(name + "forward", traffic, [&] { impl::forward(s, x, w, &b, {}); });
    time(name + "backward data", traffic, [&] {
      impl::backward(s, x, w, nullptr, dy, {}, {true, false, false});
    });
    time(name + "backward weight", traffic, [&] {
      impl::backward(s, x, w, nullptr, dy, {}, {false, true, true});
    });
  }
}

void dropout_layers() {
  for (const Shape& shape : {Shape{64, 128, 64, 64}, Shape{64, 32, 64, 64}}) {
    const Tn x = blocked(shape, 1);
    const DropoutMask mask{0.5f, {.seed = 1, .stream = 1}};
    const std::string name = to_string(shape);
    using impl = dropout_impl<float, Cpu>;
    const Tn y = impl::forward(x, mask, true);
    time("relu_dropout " + name, 2 * bytes(shape), [&] { impl::forward(x, mask, true); });
    Tn dy = blocked(shape, 2);
    time("relu_dropout backward " + name, 3 * bytes(shape),
         [&] { dy = impl::relu_backward(y, std::move(dy), 1); });
    time("relu_dropout of NHWC " + name, 2 * bytes(shape),
         [&, z = x.to(Layout::channels_last())] { impl::forward(z, mask, true); });
  }
}

void batch_norm_layers() {
  for (const Shape& shape :
       {Shape{64, 64, 32, 32}, Shape{64, 256, 16, 16}, Shape{64, 512, 8, 8}, Shape{64, 2048, 2, 2}}) {
    const Tn x = blocked(shape, 1), r = blocked(shape, 2);
    const std::int64_t c = shape[1];
    const Tn gamma = ones<float, Cpu>({c}), beta = zeros<float, Cpu>({c});
    Tn mean = zeros<float, Cpu>({c}), var = ones<float, Cpu>({c});
    const std::string name = to_string(shape);
    using impl = batch_norm_impl<float, Cpu>;
    BatchNormStatistics<float, Cpu> statistics;
    const BatchNormOptions train{.relu = true}, frozen{.training = false, .relu = true};
    const Tn y = impl::forward(x, gamma, beta, &r, mean, var, train, statistics);
    time("batch_norm + relu " + name, 2 * bytes(shape),
         [&] { impl::forward(x, gamma, beta, nullptr, mean, var, train, statistics); });
    time("batch_norm + add + relu " + name, 3 * bytes(shape),
         [&] { impl::forward(x, gamma, beta, &r, mean, var, train, statistics); });
    time("batch_norm frozen + relu " + name, 2 * bytes(shape),
         [&] { impl::forward(x, gamma, beta, nullptr, mean, var, frozen, statistics); });
    Tn dy = blocked(shape, 3);
    time("batch_norm + relu backward " + name, 4 * bytes(shape), [&] {
      dy = impl::backward(x, gamma, &beta, &y, statistics, std::move(dy), true, {true, true, true, false}).x;
    });
    time("batch_norm + add + relu backward " + name, 5 * bytes(shape),
         [&] { dy = impl::backward(x, gamma, nullptr, &y, statistics, std::move(dy), true, {}).residual; });
  }
}

void pooling() {
  const auto run = [](const Shape& shape, const MaxPool2dOptions& o) {
    const Tn x = blocked(shape, 1);
    const auto s = Pool2dShape::of("max_pool2d", shape, o.kernel, o.stride, o.padding);
    MaxPoolIndex<Cpu> index;
    using impl = max_pool2d_impl<float, Cpu>;
    const Tn dy = impl::forward(s, x, &index);
    const std::string name = text(o.kernel.height, "x", o.kernel.width, " ", shape);
    const double traffic = bytes(shape) + 1.25 * bytes(s.output());
    time("max_pool2d " + name, traffic, [&] { impl::forward(s, x, &index); });
    time("max_pool2d backward " + name, traffic, [&] { impl::backward(s, index, dy); });
  };
  run({64, 32, 64, 64}, {});
  run({64, 64, 32, 32}, {.kernel = 3, .stride = 2, .padding = 1});
  const Tn x = blocked({64, 32, 32, 32}, 1), dy = blocked({64, 32, 64, 64}, 1);
  time("upsample_nearest 2 [64, 32, 32, 32]", 5 * bytes(x.shape()),
       [&] { upsample_nearest_impl<float, Cpu>::forward(x, 2); });
  time("upsample_nearest 2 backward", 5 * bytes(x.shape()),
       [&] { upsample_nearest_impl<float, Cpu>::backward(dy, 2); });
  const Tn z = blocked({64, 2048, 2, 2}, 1);
  time("global_avg_pool [64, 2048, 2, 2]", 1.25 * bytes(z.shape()),
       [&] { global_avg_pool_impl<float, Cpu>::forward(z); });
}

void memory_orders() {
  for (const Shape& shape : {Shape{64, 32, 64, 64}, Shape{64, 256, 16, 16}, Shape{64, 32, 8, 8}}) {
    const Tn x = blocked(shape, 1), y = x.row_major(), z = x.to(Layout::channels_last());
    const std::string name = to_string(shape);
    time("blocked to NCHW " + name, 2 * bytes(shape), [&] { x.row_major(); });
    time("NCHW to blocked " + name, 2 * bytes(shape), [&] { y.to(x.layout()); });
    time("NCHW to NHWC " + name, 2 * bytes(shape), [&] { y.to(z.layout()); });
    time("NHWC to NCHW " + name, 2 * bytes(shape), [&] { z.row_major(); });
    time("NHWC to blocked " + name, 2 * bytes(shape), [&] { z.to(x.layout()); });
  }
}

void losses() {
  const Shape shape{64, 3, 64, 64};
  const Tn x = blocked(shape, 1), t = uniform<float, Cpu>(shape, {5, 0});
  Tn g;
  time("bce_with_logits + gradient [64, 3, 64, 64]", 3 * bytes(shape),
       [&] { loss_impl<float, Cpu>::bce_with_logits(x, t, {}, &g); });
  time("sigmoid [64, 3, 64, 64]", 2 * bytes(shape),
       [&] { unary_impl<SigmoidFunctor, float, Cpu>::forward({}, x); });
  time("mse + gradient [64, 3, 64, 64]", 3 * bytes(shape), [&] { loss_impl<float, Cpu>::mse(x, t, &g); });
  const Shape small{64, 24};
  const Tn logits = uniform<float, Cpu>(small, {5, 0});
  const auto labels = zeros<std::int64_t, Cpu>({64});
  time("softmax_cross_entropy + gradient [64, 24]", 2 * bytes(small),
       [&] { loss_impl<float, Cpu>::cross_entropy(logits, labels, {}, &g); });
  time("bce_with_logits + gradient [64, 24]", 3 * bytes(small), [&, target = cast<float>(labels)] {
    loss_impl<float, Cpu>::bce_with_logits(logits, uniform<float, Cpu>(small, {6, 0}), {}, &g);
  });
}

void elementwise() {
  const Shape shape{64, 256, 16, 16};
  const Tn a = blocked(shape, 1), b = blocked(shape, 2);
  time("add + relu [64, 256, 16, 16]", 3 * bytes(shape),
       [&] { binary_impl<AddReluFunctor, float, Cpu>::forward(a, b); });
  time("relu [64, 256, 16, 16]", 2 * bytes(shape),
       [&] { unary_impl<ReluFunctor, float, Cpu>::forward({}, a); });
  Tn dy = blocked(shape, 3);
  time("relu backward [64, 256, 16, 16]", 3 * bytes(shape),
       [&] { dy = unary_impl<ReluFunctor, float, Cpu>::backward({}, a, a, std::move(dy)); });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) filter = argv[1];
  copy();
  linear_layers();
  memory_orders();
  dropout_layers();
  batch_norm_layers();
  pooling();
  losses();
  elementwise();
}
