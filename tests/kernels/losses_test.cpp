// Cross-entropy, binary cross-entropy and squared error: every variant against its definition in double.
#include "kernels/bce_with_logits/1_naive.cuh"
#include "kernels/bce_with_logits/shipped.cuh"
#include "kernels/cross_entropy/1_naive.cuh"
#include "kernels/cross_entropy/shipped.cuh"
#include "kernels/mse/shipped.cuh"

#include "buffer.hpp"

namespace {

namespace k = kfer::kernels;
using kfer::test::Buffer;
using kfer::test::difference;
using kfer::test::numbers;
using kfer::test::tolerance;

struct Loss {
  double value = 0;
  std::vector<double> gradient;
};

/// `target(r, c)` and `weight(c)` as in cross_entropy/targets.cuh, without smoothing.
template <class Target, class Weight>
Loss cross_entropy_of(const std::vector<double>& x, long long cols, double smoothing, double divisor,
                      const Target& target, const Weight& weight) {
  Loss out;
  out.gradient.resize(x.size());
  const long long rows = static_cast<long long>(x.size()) / cols;
  for (long long r = 0; r < rows; ++r) {
    const double* row = x.data() + r * cols;
    double sum = 0, share = 0;
    for (long long c = 0; c < cols; ++c) sum += std::exp(row[c]);
    const auto q = [&](long long c) {
      return weight(c) * ((1 - smoothing) * target(r, c) + smoothing / static_cast<double>(cols));
    };
    for (long long c = 0; c < cols; ++c) {
      share += q(c);
      out.value -= q(c) * (row[c] - std::log(sum)) / divisor;
    }
    for (long long c = 0; c < cols; ++c)
      out.gradient[static_cast<std::size_t>(r * cols + c)] =
          (std::exp(row[c]) / sum * share - q(c)) / divisor;
  }
  return out;
}

struct Room {
  std::unique_ptr<k::LossWorkspace> workspace = std::make_unique<k::LossWorkspace>();
  long long status = -77;
};

}  // namespace

TEST_CASE_TEMPLATE("softmax cross-entropy, every variant", T, float, k::bf16, double) {
  struct Case {
    long long rows, cols;
    int skew;
  };
  for (const auto [rows, cols, skew] : {Case{1, 1, 0},
                                        {65, 2, 0},
                                        {37, 7, 0},
                                        {40, 24, 0},
                                        {9, 31, 1},
                                        {8, 64, 0},
                                        {3, 130, 0},
                                        {2, 512, 1},
                                        {2, 1000, 0},
                                        {1, 1024, 0},
                                        {2, 1031, 0},
                                        {1, 2048, 0}})
    for (const bool weighted : {false, true})
      for (const bool soft : {false, true}) {
        const double smoothing = weighted ? 0.1 : 0;
        const auto x = numbers(rows * cols, 1, -4, 4), w = numbers(cols, 2, 0.5, 2),
                   t = numbers(rows * cols, 3, 0, 1);
        std::vector<std::int64_t> labels;
        for (long long r = 0; r < rows; ++r) labels.push_back((r * 7 + 3) % cols);
        double divisor = 0;
        for (const std::int64_t l : labels) divisor += weighted && !soft ? w[static_cast<std::size_t>(l)] : 1;
        const auto expected = cross_entropy_of(
            x, cols, smoothing, divisor,
            [&](long long r, long long c) {
              return soft ? t[static_cast<std::size_t>(r * cols + c)]
                          : double(labels[static_cast<std::size_t>(r)] == c);
            },
            [&](long long c) { return weighted ? w[static_cast<std::size_t>(c)] : 1; });
        const Buffer<T> in(x, skew), weights(w, skew), targets(t, skew);
        const T* const class_weights = weighted ? weights.data() : nullptr;
        const auto check = [&](const auto& which) {
          INFO(rows, " x ", cols, ", weighted ", weighted, ", soft ", soft);
          {
            Buffer<T> gradient(rows * cols, skew), loss(1);
            Room room;
            k::cross_entropy(in.data(), which, class_weights, smoothing,
                             weighted && !soft ? k::LossMean::weights : k::LossMean::rows, gradient.data(),
                             loss.data(), &room.status, rows, cols, room.workspace.get(), {});
            CHECK(difference(loss.values(), {expected.value}) < tolerance<T>());
            CHECK(difference(gradient.values(), expected.gradient) < tolerance<T>());
            CHECK(room.status == k::loss_is_fine);
            Buffer<T> alone(1);
            k::cross_entropy(in.data(), which, class_weights, smoothing,
                             weighted && !soft ? k::LossMean::weights : k::LossMean::rows,
                             static_cast<T*>(nullptr), alone.data(), &room.status, rows, cols,
                             room.workspace.get(), {});
            CHECK(alone.values() == loss.values());
          }
          for (const int variant : {1, 2, 3}) {
            INFO("variant ", variant);
            if ((variant == 3 && cols > k::longest_tile_row<T>) || (variant == 2 && rows > 9)) continue;
            Buffer<T> gradient(rows * cols, skew);
            const k::ClassWeights<T> shares(class_weights, smoothing, cols);
            double loss = 0;
            if (variant == 1) {
              Buffer<k::accum_t<T>> log_sums(rows), share(rows);
              k::cross_entropy_naive(in.data(), which, shares, divisor, log_sums.data(), share.data(),
                                     gradient.data(), &loss, rows, cols, {});
            } else {
              Room room;
              auto* const parts = room.workspace->parts;
              const unsigned count =
                  (variant == 2
                       ? k::cross_entropy_online<T, std::decay_t<decltype(which)>>
                       : k::cross_entropy_warp<T, std::decay_t<decltype(which)>>)(in.data(), which, shares,
                                                                                  k::Divisor{divisor},
                                                                                  gradient.data(), parts,
                                                                                  rows, cols, {});
              for (unsigned i = 0; i < count; ++i) loss += parts[i].sum / divisor;
            }
            CHECK(difference({loss}, {expected.value}) < tolerance<T>());
            CHECK(difference(gradient.values(), expected.gradient) < tolerance<T>());
          }
        };
        if (soft)
          check(k::SoftTargets<T>{targets.data(), k::aligned16(targets.data())});
        else
          check(k::LabelTargets<T>{labels.data()});
      }
}

TEST_CASE("softmax cross-entropy names the first label that is no class, and reads nothing by it") {
  for (const long long cols : {5, 1500}) {
    const long long rows = cols < 100 ? 300 : 12;
    const Buffer<float> x(numbers(rows * cols, 1)), w(numbers(cols, 2, 1, 2));
    const std::unique_ptr<std::int64_t[]> labels(new std::int64_t[static_cast<std::size_t>(rows)]);
    const auto status_of = [&](const float* weights, k::LossMean mean) {
      Buffer<float> gradient(rows * cols), loss(1);
      Room room;
      k::cross_entropy(x.data(), k::LabelTargets<float>{labels.get()}, weights, 0, mean, gradient.data(),
                       loss.data(), &room.status, rows, cols, room.workspace.get(), {});
      CHECK(std::isnan(loss.values()[0]) == (room.status != k::loss_is_fine));
      return room.status;
    };
    for (long long r = 0; r < rows; ++r) labels[static_cast<std::size_t>(r)] = r % cols;
    CHECK(status_of(nullptr, k::LossMean::rows) == k::loss_is_fine);
    labels[static_cast<std::size_t>(rows - 1)] = -1;
    CHECK(status_of(nullptr, k::LossMean::none) == rows - 1);
    labels[7] = std::numeric_limits<std::int64_t>::max();
    labels[9] = cols;
    CHECK(status_of(w.data(), k::LossMean::weights) == 7);
    for (long long r = 0; r < rows; ++r) labels[static_cast<std::size_t>(r)] = 3;
    const Buffer<float> nothing(std::vector<double>(static_cast<std::size_t>(cols), 0.0));
    CHECK(status_of(nothing.data(), k::LossMean::weights) == k::loss_has_no_weight);
  }
}

TEST_CASE_TEMPLATE("binary cross-entropy with logits, every variant", T, float, k::bf16, double) {
  struct Case {
    long long rows, cols;
    int skew;
  };
  for (const auto [rows, cols, skew] :
       {Case{1, 1, 0}, {3, 5, 0}, {7, 24, 0}, {64, 24, 0}, {11, 13, 1}, {2, 8, 0}, {1, 2049, 0}, {500, 3, 0}})
    for (const bool weighted : {false, true}) {
      INFO(rows, " x ", cols, ", weighted ", weighted);
      const long long n = rows * cols;
      const auto x = numbers(n, 1, -6, 6), t = numbers(n, 2, 0, 1), w = numbers(cols, 3, 0.5, 3);
      Loss expected;
      for (long long i = 0; i < n; ++i) {
        const auto at = static_cast<std::size_t>(i);
        const double weight = weighted ? w[static_cast<std::size_t>(i % cols)] : 1,
                     s = 1 / (1 + std::exp(-x[at]));
        expected.value -=
            (weight * t[at] * std::log(s) + (1 - t[at]) * std::log(1 - s)) / static_cast<double>(n);
        expected.gradient.push_back(((1 - t[at]) * s - weight * t[at] * (1 - s)) / static_cast<double>(n));
      }
      const Buffer<T> in(x, skew), target(t, skew), weights(w, skew);
      const T* const positive = weighted ? weights.data() : nullptr;
      Buffer<T> gradient(n, skew), loss(1), alone(1);
      Room room;
      k::bce_with_logits(in.data(), target.data(), positive, gradient.data(), n, cols, loss.data(),
                         &room.status, room.workspace.get(), {});
      CHECK(room.status == k::loss_is_fine);
      CHECK(difference(loss.values(), {expected.value}) < tolerance<T>());
      CHECK(difference(gradient.values(), expected.gradient) < tolerance<T>());
      k::bce_with_logits(in.data(), target.data(), positive, static_cast<T*>(nullptr), n, cols, alone.data(),
                         &room.status, room.workspace.get(), {});
      CHECK(alone.values() == loss.values());

      Buffer<T> values(n), naive(n, skew);
      double sum = 0;
      k::bce_with_logits_naive(in.data(), target.data(), positive, naive.data(), n, cols, values.data(), &sum,
                               {});
      CHECK(difference({sum}, {expected.value}) < tolerance<T>());
      CHECK(difference(naive.values(), expected.gradient) < tolerance<T>());
    }
}

TEST_CASE("binary cross-entropy is exact for extreme logits and names the first target outside of [0, 1]") {
  std::vector<double> x(3000, 0.0), t(3000, 0.5);
  x[0] = 1000, t[0] = 0;
  x[1] = -1000, t[1] = 1;
  x[2] = 1000, t[2] = 1;
  const Buffer<float> in(x);
  Room room;
  const auto run = [&] {
    const Buffer<float> target(t);
    Buffer<float> gradient(3000), loss(1);
    k::bce_with_logits(in.data(), target.data(), static_cast<const float*>(nullptr), gradient.data(), 3000, 1,
                       loss.data(), &room.status, room.workspace.get(), {});
    return loss.values()[0];
  };
  CHECK(run() == doctest::Approx((2000 + 2997 * std::log(2.0)) / 3000));
  CHECK(room.status == k::loss_is_fine);
  t[2999] = 1.5;
  t[2001] = std::nan("");
  t[2700] = -0.25;
  CHECK(std::isnan(run()));
  CHECK(room.status == 2001);
}

TEST_CASE_TEMPLATE("squared error, and the factor of a gradient in device memory", T, float, k::bf16,
                   double) {
  for (const long long n : {1, 7, 8, 1000, 6151})
    for (const int skew : {0, 1}) {
      const auto x = numbers(n, 1), t = numbers(n, 2);
      Loss expected;
      for (std::size_t i = 0; i < x.size(); ++i) {
        expected.value += (x[i] - t[i]) * (x[i] - t[i]) / static_cast<double>(n);
        expected.gradient.push_back(2 * (x[i] - t[i]) / static_cast<double>(n));
      }
      const Buffer<T> in(x, skew), target(t, skew);
      Buffer<T> gradient(n, skew), loss(1);
      Room room;
      k::mse(in.data(), target.data(), gradient.data(), n, loss.data(), &room.status, room.workspace.get(),
             {});
      CHECK(difference(loss.values(), {expected.value}) < tolerance<T>());
      CHECK(difference(gradient.values(), expected.gradient) < tolerance<T>());
      const auto before = gradient.values();
      const Buffer<T> one(std::vector<double>{1}), three(std::vector<double>{3});
      k::scale_by(gradient.data(), n, one.data(), {});
      CHECK(gradient.values() == before);
      k::scale_by(gradient.data(), n, three.data(), {});
      for (double& g : expected.gradient) g *= 3;
      CHECK(difference(gradient.values(), expected.gradient) < 2 * tolerance<T>());
    }
}

TEST_CASE("losses do not depend on the order of threads") {
  const long long rows = 100, cols = 13;
  const Buffer<float> x(numbers(rows * cols, 1)), t(numbers(rows * cols, 2, 0, 1));
  std::vector<double> first;
  kfer::test::in_thread_orders([&] {
    Buffer<float> losses(3);
    Room room;
    k::bce_with_logits(x.data(), t.data(), t.data(), static_cast<float*>(nullptr), rows * cols, cols,
                       losses.data(), &room.status, room.workspace.get(), {});
    const k::SoftTargets<float> soft{t.data(), false};
    k::cross_entropy(x.data(), soft, t.data(), 0.1, k::LossMean::none, static_cast<float*>(nullptr),
                     losses.data() + 1, &room.status, rows, cols, room.workspace.get(), {});
    k::cross_entropy(x.data(), soft, t.data(), 0.1, k::LossMean::none, static_cast<float*>(nullptr),
                     losses.data() + 2, &room.status, 1, rows * cols, room.workspace.get(), {});
    if (first.empty()) first = losses.values();
    CHECK(losses.values() == first);
    CHECK(std::isfinite(first[0] + first[1] + first[2]));
  });
}
