// Optimisers' steps over many tensors: every variant against the formulas written out here in double.
#include "kernels/optim/1_launch_a_tensor.cuh"
#include "kernels/optim/2_multi_tensor.cuh"
#include "kernels/optim/3_vectorised.cuh"
#include "kernels/optim/shipped.cuh"

#include <algorithm>
#include <list>

#include "buffer.hpp"

namespace {

namespace k = kfer::kernels;
using kfer::test::Buffer;
using kfer::test::difference;
using kfer::test::numbers;
using kfer::test::tolerance;

/// Tensors of an optimiser: T for weights and moments, G for gradients.
template <class T, class G>
struct Tensors {
  struct One {
    Buffer<T> weight, m, v, v_max;
    Buffer<G> grad;
    Buffer<k::bf16> copy;
    long long n;
    One(long long n, unsigned seed, int skew)
        : weight(numbers(n, seed), skew),
          m(numbers(n, seed + 1), skew),
          v(numbers(n, seed + 2, 0.1, 1), skew),
          v_max(numbers(n, seed + 3, 0.1, 1), skew),
          grad(numbers(n, seed + 4), skew),
          copy(n, skew),
          n(n) {}
  };
  std::list<One> all;
  Tensors(const std::vector<long long>& sizes, int skew) {
    unsigned seed = 1;
    for (const long long n : sizes) all.emplace_back(n, seed += 10, skew);
  }
  std::vector<typename k::AdamRule<T, G>::Entry> adam(bool amsgrad, bool copy) {
    std::vector<typename k::AdamRule<T, G>::Entry> out;
    for (One& t : all)
      out.push_back({t.weight.data(),
                     t.grad.data(),
                     {t.m.data(), t.v.data(), amsgrad ? t.v_max.data() : nullptr},
                     copy ? t.copy.data() : nullptr,
                     t.n});
    return out;
  }
  std::vector<typename k::SgdRule<T, G>::Entry> sgd(bool momentum, bool copy) {
    std::vector<typename k::SgdRule<T, G>::Entry> out;
    for (One& t : all)
      out.push_back({t.weight.data(),
                     t.grad.data(),
                     {momentum ? t.m.data() : nullptr},
                     copy ? t.copy.data() : nullptr,
                     t.n});
    return out;
  }
};

/// What a step makes of one tensor's numbers.
struct Numbers {
  std::vector<double> weight, m, v, v_max;
};
template <class One>
Numbers numbers_of(const One& t) {
  return {t.weight.values(), t.m.values(), t.v.values(), t.v_max.values()};
}
Numbers adam_of(Numbers s, const std::vector<double>& grad, const k::AdamCoefficients& c, bool amsgrad) {
  for (std::size_t i = 0; i < grad.size(); ++i) {
    const double g = c.grad_scale * grad[i] + c.l2 * s.weight[i];
    s.m[i] = c.beta1 * s.m[i] + (1 - c.beta1) * g;
    s.v[i] = c.beta2 * s.v[i] + (1 - c.beta2) * g * g;
    if (amsgrad) s.v_max[i] = std::max(s.v_max[i], s.v[i]);
    const double root = std::sqrt(amsgrad ? s.v_max[i] : s.v[i]);
    s.weight[i] = c.keep * s.weight[i] - c.rate * s.m[i] / (root * c.root_scale + c.epsilon);
  }
  return s;
}
Numbers sgd_of(Numbers s, const std::vector<double>& grad, const k::SgdCoefficients& c, bool momentum) {
  for (std::size_t i = 0; i < grad.size(); ++i) {
    double g = c.grad_scale * grad[i] + c.l2 * s.weight[i];
    if (momentum) {
      s.m[i] = c.momentum * s.m[i] + c.fresh * g;
      g = c.nesterov ? g + c.momentum * s.m[i] : s.m[i];
    }
    s.weight[i] -= c.lr * g;
  }
  return s;
}

std::vector<double> rounded_to_bf16(std::vector<double> x) {
  for (double& v : x) v = static_cast<double>(k::widen(k::narrow<k::bf16>(static_cast<float>(v))));
  return x;
}

constexpr k::AdamCoefficients adam_numbers{0.5, 0.01, 0.99, 0.1, 1.25, 1e-3, 0.9, 0.95, false};
constexpr k::SgdCoefficients sgd_numbers{0.5, 0.01, 0.9, 0.75, 0.1, false};

/// Runs every variant of `Rule`'s step and compares weights, moments and copies with `expect(state,
/// gradient)`.
template <class Rule, class T, class G, class Entries, class Expect>
void check_step(const std::vector<long long>& sizes, int skew, bool copy, const Entries& entries,
                const typename Rule::Coefficients& own, const typename Rule::Coefficients* live,
                const Expect& expect, const double* scale = nullptr) {
  using Step = void (*)(const typename Rule::Entry*, long long, const typename Rule::Coefficients&,
                        const typename Rule::Coefficients*, k::Stream, const double*);
  for (const auto& variant : {std::pair<const char*, Step>("launch a tensor", k::step_launch_a_tensor<Rule>),
                              {"multi-tensor", k::step_multi_tensor<Rule>},
                              {"vectorised", k::step_vectorised<Rule>}}) {
    INFO(variant.first, ", skew ", skew, ", copy ", copy);
    Tensors<T, G> tensors(sizes, skew);
    std::vector<Numbers> expected;
    for (const auto& t : tensors.all) expected.push_back(expect(numbers_of(t), t.grad.values()));
    const auto table = entries(tensors);
    variant.second(table.data(), static_cast<long long>(table.size()), own, live, {}, scale);
    double worst = 0;
    bool copies = true;
    auto want = expected.begin();
    for (const auto& t : tensors.all) {
      const Numbers got = numbers_of(t);
      for (const auto member : {&Numbers::weight, &Numbers::m, &Numbers::v, &Numbers::v_max})
        worst = std::max(worst, difference(got.*member, (*want).*member));
      if (copy) copies = copies && t.copy.values() == rounded_to_bf16(got.weight);
      ++want;
    }
    CHECK(worst < tolerance<T>());
    CHECK(copies);
  }
}

template <class T, class G>
void check_all(const std::vector<long long>& sizes, int skew) {
  using Adam = k::AdamRule<T, G>;
  using Sgd = k::SgdRule<T, G>;
  for (const bool flag : {false, true})
    for (const bool copy : {false, true}) {
      check_step<Adam, T, G>(
          sizes, skew, copy, [&](auto& t) { return t.adam(flag, copy); }, adam_numbers, nullptr,
          [&](const Numbers& s, const auto& g) { return adam_of(s, g, adam_numbers, flag); });
      check_step<Sgd, T, G>(
          sizes, skew, copy, [&](auto& t) { return t.sgd(flag, copy); }, sgd_numbers, nullptr,
          [&](const Numbers& s, const auto& g) { return sgd_of(s, g, sgd_numbers, flag); });
    }
  k::SgdCoefficients nesterov = sgd_numbers;
  nesterov.nesterov = true;
  check_step<Sgd, T, G>(
      sizes, skew, false, [](auto& t) { return t.sgd(true, false); }, nesterov, nullptr,
      [&](const Numbers& s, const auto& g) { return sgd_of(s, g, nesterov, true); });
}

const std::vector<long long> ragged{1, 7, 0, 4096, 4097, 3, 8195, 64, 1021};

}  // namespace

TEST_CASE("a step of Adam and of gradient descent, every variant") {
  for (const int skew : {0, 1}) {
    check_all<float, float>(ragged, skew);
    check_all<double, double>(ragged, skew);
    check_all<float, k::bf16>(ragged, skew);
  }
}

TEST_CASE("more tensors than the small table and than the large one hold") {
  using Rule = k::AdamRule<float, float>;
  static_assert(k::SmallTable<Rule::Entry>::capacity == 64);
  static_assert(sizeof(k::SmallTable<Rule::Entry>) + sizeof(k::AdamCoefficients) + 8 <= 4096);
  static_assert(sizeof(k::LargeTable<Rule::Entry>) + sizeof(k::AdamCoefficients) + 8 <= 32764);
  for (const int count : {0, 64, 65, k::LargeTable<Rule::Entry>::capacity + 3}) {
    std::vector<long long> sizes;
    for (int i = 0; i < count; ++i) sizes.push_back(i % 5);
    Tensors<float, float> tensors(sizes, 0);
    std::vector<Numbers> expected;
    for (const auto& t : tensors.all)
      expected.push_back(adam_of(numbers_of(t), t.grad.values(), adam_numbers, false));
    const auto table = tensors.adam(false, false);
    k::optimizer_step<Rule>(table.data(), count, adam_numbers, nullptr, nullptr, {});
    double worst = 0;
    auto want = expected.begin();
    for (const auto& t : tensors.all)
      worst = std::max(worst, difference(t.weight.values(), (want++)->weight));
    CHECK(worst < tolerance<float>());
  }
}

TEST_CASE("coefficients in device memory take the place of the launch's own") {
  const std::vector<long long> sizes{5, 4100};
  k::AdamCoefficients adam = adam_numbers;
  adam.rate = 0.7;
  adam.grad_scale = 3;
  check_step<k::AdamRule<float, float>, float, float>(
      sizes, 0, false, [](auto& t) { return t.adam(false, false); }, adam_numbers, &adam,
      [&](const Numbers& s, const auto& g) { return adam_of(s, g, adam, false); });
  k::SgdCoefficients sgd = sgd_numbers;
  sgd.lr = 0.7;
  sgd.nesterov = true;
  check_step<k::SgdRule<float, float>, float, float>(
      sizes, 0, false, [](auto& t) { return t.sgd(true, false); }, sgd_numbers, &sgd,
      [&](const Numbers& s, const auto& g) { return sgd_of(s, g, sgd, true); });
}

TEST_CASE("a scale in device memory takes the place of the launch's; a NaN there leaves all as it was") {
  const std::vector<long long> sizes{5, 4100, 64};
  double scale = 0.125;
  k::AdamCoefficients adam = adam_numbers;
  k::SgdCoefficients sgd = sgd_numbers;
  adam.grad_scale = sgd.grad_scale = scale;
  for (const bool live : {false, true}) {
    check_step<k::AdamRule<float, float>, float, float>(
        sizes, 0, false, [](auto& t) { return t.adam(true, false); }, adam_numbers,
        live ? &adam_numbers : nullptr,
        [&](const Numbers& s, const auto& g) { return adam_of(s, g, adam, true); }, &scale);
    check_step<k::SgdRule<float, float>, float, float>(
        sizes, 0, false, [](auto& t) { return t.sgd(true, false); }, sgd_numbers,
        live ? &sgd_numbers : nullptr,
        [&](const Numbers& s, const auto& g) { return sgd_of(s, g, sgd, true); }, &scale);
  }
  scale = std::nan("");
  Tensors<float, float> tensors(sizes, 0);
  std::vector<Numbers> before;
  for (auto& t : tensors.all) {
    before.push_back(numbers_of(t));
    t.grad.data()[0] = NAN;
  }
  const auto adams = tensors.adam(true, true);
  const auto sgds = tensors.sgd(true, true);
  k::optimizer_step<k::AdamRule<float, float>>(adams.data(), 3, adam_numbers, nullptr, &scale, {});
  k::optimizer_step<k::SgdRule<float, float>>(sgds.data(), 3, sgd_numbers, nullptr, &scale, {});
  auto want = before.begin();
  for (const auto& t : tensors.all) {
    const Numbers now = numbers_of(t);
    for (const auto member : {&Numbers::weight, &Numbers::m, &Numbers::v, &Numbers::v_max})
      CHECK(now.*member == (*want).*member);
    ++want;
  }
}

TEST_CASE_TEMPLATE("the sum of squares over many tensors", T, float, k::bf16, double) {
  for (const int count : {0, 1, 9, 1700})
    for (const int skew : {0, 1}) {
      std::list<Buffer<T>> tensors;
      std::vector<k::Span<T>> spans;
      double expected = 0;
      for (int i = 0; i < count; ++i) {
        const long long n = count < 10 ? ragged[static_cast<std::size_t>(i)] : i % 3;
        const auto x = numbers(n, static_cast<unsigned>(i));
        for (const double v : x) expected += v * v;
        tensors.emplace_back(x, skew);
        spans.push_back({tensors.back().data(), n});
      }
      Buffer<double> parts(k::most_square_parts);
      double sum = NAN, again = NAN;
      const auto run = [&](double& out) {
        k::sum_of_squares(spans.data(), count, parts.data(), k::StoreTo{&out}, {});
      };
      run(sum);
      CHECK(difference({sum}, {expected}) < 1e-12);
      kfer::test::in_thread_orders([&] {
        if (count == 9) run(again);
      });
      if (count == 9) CHECK(again == sum);
      if (count == 9)
        for (const double bad : {HUGE_VAL, -HUGE_VAL, std::nan("")}) {
          Buffer<T> last(std::vector<double>{1, bad, 2});
          spans[4] = {last.data(), 3};
          run(sum);
          CHECK(!std::isfinite(sum));
        }
    }
}

TEST_CASE_TEMPLATE("scaling and clamping in place", T, float, k::bf16, double) {
  for (const long long n : {0, 1, 8, 4099})
    for (const int skew : {0, 1}) {
      const auto x = numbers(n, 1, -2, 2);
      auto scaled = x, clamped = x;
      for (double& v : scaled) v *= 0.375;
      for (double& v : clamped) v = std::clamp(v, -0.5, 1.0);
      Buffer<T> a(x, skew), b(x, skew);
      k::scale_in_place(a.data(), n, 0.375, {});
      k::clamp_in_place(b.data(), n, -0.5, 1.0, {});
      CHECK(difference(a.values(), scaled) < tolerance<T>());
      CHECK(b.values() == clamped);
    }
  Buffer<T> nan(std::vector<double>{std::nan("")});
  k::clamp_in_place(nan.data(), 1, -1, 1, {});
  CHECK(std::isnan(nan.values()[0]));
}

TEST_CASE(
    "a step is judged by its loss and the norm of its gradients; from the first bad one on all are refused") {
  Buffer<float> a(std::vector<double>{3, 0, 0}), b(std::vector<double>{0, 4});
  const std::vector<k::Span<float>> gradients{{a.data(), 3}, {b.data(), 2}};  // norm 5
  Buffer<double> parts(k::most_square_parts);
  const auto judge = [&](float loss, double clip_norm, k::StepLog& log) {
    double scale = -1;
    k::sum_of_squares(gradients.data(), 2, parts.data(), k::JudgeStep<float>{&loss, clip_norm, &log, &scale},
                      {});
    return scale;
  };
  k::StepLog log{};
  CHECK(judge(0.5f, 0, log) == 1);
  CHECK(judge(0.25f, 5, log) == 1);
  CHECK(judge(-7, 2, log) == 2.0 / 5);
  CHECK(log.taken == 3);
  CHECK(log.refused == 0);
  for (const float bad : {NAN, HUGE_VALF, -HUGE_VALF})
    for (const bool gradient : {false, true}) {
      k::StepLog now = log;
      if (gradient) a.data()[1] = bad;
      CHECK(std::isnan(judge(gradient ? 1 : bad, 2, now)));
      a.data()[1] = 0;
      CHECK(std::isnan(judge(1, 2, now)));  // a good one after it
      CHECK(now.taken == 3);
      CHECK(now.refused == 1);
      CHECK(std::vector<double>(now.loss, now.loss + 3) == std::vector<double>{0.5, 0.25, -7});
    }
  for (int i = 0; i < k::StepLog::capacity; ++i) judge(1, 0, log);  // more than there is room for
  CHECK(log.taken == k::StepLog::capacity + 3);
  CHECK(log.refused == 0);
}

TEST_CASE("many tensors are copied in one launch, or given back only after a step that was refused") {
  const double good = 1, bad = std::nan("");
  for (const double* unless : {static_cast<const double*>(nullptr), &good, &bad}) {
    std::list<Buffer<float>> from, to;
    std::vector<k::CopyEntry<float>> entries;
    for (const long long n : ragged) {
      from.emplace_back(numbers(n, 1), 0);
      to.emplace_back(numbers(n, 2), 0);
      entries.push_back({from.back().data(), to.back().data(), n});
    }
    k::copy_tensors(entries.data(), static_cast<long long>(entries.size()), unless, {});
    auto source = from.begin();
    for (const auto& target : to) {
      const auto n = static_cast<long long>(target.values().size());
      CHECK((target.values() == (source++)->values()) == (unless != &good || n == 0));
    }
  }
}
