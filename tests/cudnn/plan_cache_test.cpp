// The cache of plans, the filter of engines and the keys of convolutions, over plans that are plain values:
// no GPU and no cuDNN needed.
#include "kfer/device/cudnn/plan_cache.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "kfer/device/cudnn/filter.hpp"
#include "kfer/ops/conv2d/conv2d_cudnn_pattern.hpp"

using namespace kfer;
using cudnn::EngineNotes;
using cudnn::PlanFilter;
using detail::conv_key;
using detail::ConvPattern;

namespace {

struct FakePlan {
  std::string engine;
};
using Cache = cudnn::PlanCache<FakePlan>;

/// Engines by name; those in `broken` cannot be compiled, those whose name begins with "last" are last
/// resorts. Counts what is asked of them.
struct FakeCandidates {
  std::vector<std::string> names;
  std::set<std::string> broken = {};
  std::vector<std::string>* made = nullptr;

  std::size_t size() const { return names.size(); }
  const std::string& name(std::size_t i) const { return names[i]; }
  bool last_resort(std::size_t i) const { return names[i].starts_with("last"); }
  std::optional<FakePlan> make(std::size_t i) const {
    if (made) made->push_back(names[i]);
    if (broken.contains(names[i])) return {};
    return FakePlan{names[i]};
  }
};

/// The choice for `key` among engines of these names.
std::string choice(Cache& cache, const std::string& key, const FakeCandidates& candidates,
                   const Cache::Timer& timer = {}) {
  const auto plan = cache.get(
      key, [&] { return candidates; }, timer);
  return plan ? plan->engine : "none";
}

/// The time of an engine is its name's last digit; one that ends in x fails to run.
std::optional<double> by_name(const FakePlan& plan) {
  const char last = plan.engine.back();
  if (last == 'x') return {};
  return last - '0';
}

}  // namespace

TEST_CASE("plan cache: the fastest plan is taken, those that fail are skipped") {
  Cache cache("test 1");
  CHECK(choice(cache, "a", {{"eng3", "eng1", "eng2"}}, by_name) == "eng1");
  CHECK(choice(cache, "b", {{"eng3", "eng1", "eng2"}, {"eng1"}}, by_name) == "eng2");
  CHECK(choice(cache, "c", {{"engx", "eng3", "engx"}}, by_name) == "eng3");
  CHECK(choice(cache, "d", {{"eng2=1", "eng2,0=1"}}, by_name) ==
        "eng2=1");  // a tie goes to the heuristics' first
  CHECK(cache.size() == 4);
}

TEST_CASE("plan cache: without a clock, and where nothing can be timed, the first that works") {
  Cache cache("test 1");
  CHECK(choice(cache, "a", {{"eng3", "eng1"}}) == "eng3");
  CHECK(choice(cache, "b", {{"eng3", "eng1"}, {"eng3"}}) == "eng1");
  CHECK(choice(cache, "c", {{"eng0x", "eng1x"}}, by_name) == "eng0x");
}

TEST_CASE("plan cache: a graph without a plan is remembered as such") {
  Cache cache("test 1");
  std::vector<std::string> made;
  CHECK(choice(cache, "a", {{}}, by_name) == "none");
  CHECK(choice(cache, "b", {{"eng1"}, {"eng1"}, &made}, by_name) == "none");
  CHECK(choice(cache, "b", {{"eng1"}, {}, &made}, by_name) == "none");
  CHECK(made.size() == 1);
  CHECK(cache.export_choices() == "cudnn plans 1: test 1\n");
}

TEST_CASE("plan cache: no more than the given number of candidates are timed, broken ones not counted") {
  Cache cache("test 1", 2);
  std::vector<std::string> made;
  CHECK(choice(cache, "a", {{"eng9", "eng8", "eng7", "eng1"}, {"eng8"}, &made}, by_name) == "eng7");
  CHECK(made == std::vector<std::string>{"eng9", "eng8", "eng7"});
}

TEST_CASE("plan cache: a last resort is made if nothing else works, and only then") {
  Cache cache("test 1");
  std::vector<std::string> made;
  CHECK(choice(cache, "a", {{"eng3", "last1", "eng2"}, {}, &made}, by_name) == "eng2");
  CHECK(made == std::vector<std::string>{"eng3", "eng2"});
  CHECK(choice(cache, "b", {{"eng3", "last1", "eng2"}, {"eng3"}}, by_name) == "last1");
  CHECK(choice(cache, "c", {{"eng3", "last1"}, {"eng3"}}) == "last1");
  CHECK(choice(cache, "e", {{"engx", "last1"}}, by_name) == "last1");  // eng x does not run
  CHECK(cache.import_choices("cudnn plans 1: test 1\nd = last1\n") == 1);
  CHECK(choice(cache, "d", {{"eng3", "last1"}}, by_name) == "last1");
}

TEST_CASE("plan cache: a choice stands, whatever candidates and clock say later") {
  Cache cache("test 1");
  std::vector<std::string> made;
  const auto first = cache.get(
      "a",
      [&] {
        return FakeCandidates{{"eng2", "eng1"}, {}, &made};
      },
      by_name);
  const auto second = cache.get(
      "a",
      [&] {
        return FakeCandidates{{"eng0"}, {}, &made};
      },
      by_name);
  CHECK(first == second);
  CHECK(first->engine == "eng1");
  CHECK(made.size() == 2);
}

TEST_CASE("plan cache: exported choices are repeated in another run, without timing") {
  Cache first("test 1");
  CHECK(choice(first, "forward float32", {{"eng3", "eng1", "eng2"}}, by_name) == "eng1");
  CHECK(choice(first, "backward float32", {{"eng5,2=1"}}) == "eng5,2=1");
  const std::string text = first.export_choices();
  CHECK(text == "cudnn plans 1: test 1\nbackward float32 = eng5,2=1\nforward float32 = eng1\n");

  Cache second("test 1");
  CHECK(second.import_choices(text) == 2);
  CHECK(second.export_choices() == text);  // before anything ran
  std::vector<std::string> made;
  const auto never = [](const FakePlan&) -> std::optional<double> {
    FAIL("timed");
    return {};
  };
  CHECK(choice(second, "forward float32", {{"eng3", "eng1", "eng2"}, {}, &made}, never) == "eng1");
  CHECK(made == std::vector<std::string>{"eng1"});
  CHECK(second.export_choices() == text);
}

TEST_CASE("plan cache: an imported choice that is not there any more is decided again") {
  Cache cache("test 1");
  CHECK(cache.import_choices("cudnn plans 1: test 1\na = eng7\nb = eng7\n") == 2);
  CHECK(choice(cache, "a", {{"eng2", "eng1"}}, by_name) == "eng1");
  CHECK(choice(cache, "b", {{"eng7", "eng1"}, {"eng7"}}, by_name) == "eng1");
  CHECK(cache.export_choices() == "cudnn plans 1: test 1\na = eng1\nb = eng1\n");
}

TEST_CASE("plan cache: choices of another library or device, or for graphs decided already, are left alone") {
  Cache cache("test 2");
  CHECK(cache.import_choices("cudnn plans 1: test 1\na = eng2\n") == 0);
  CHECK(choice(cache, "a", {{"eng2", "eng1"}}, by_name) == "eng1");
  CHECK(cache.import_choices("cudnn plans 1: test 2\na = eng2\nb = eng2\n") == 1);
  CHECK(choice(cache, "a", {{"eng2", "eng1"}}, by_name) == "eng1");
  CHECK(choice(cache, "b", {{"eng1", "eng2"}}, by_name) == "eng2");
}

TEST_CASE("plan cache: text that is no list of choices is refused, and nothing of it taken") {
  Cache cache("test 1");
  for (const char* bad :
       {"", "\n", "plans", "cudnn plans 1: test 1\na\n", "cudnn plans 1: test 1\na = \n",
        "cudnn plans 1: test 1\n = eng1\n", "cudnn plans 1: test 1\nb = eng1\na = eng1 eng2\n",
        "cudnn plans 1: test 1\n\n", "cudnn plans 1: test 1\nb = eng1\na = eng1\r\n"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(cache.import_choices(bad), FormatError);
  }
  CHECK(cache.import_choices("cudnn plans 1: test 1\na = eng1") == 1);  // the last line may lack its end
  CHECK(cache.export_choices() == "cudnn plans 1: test 1\na = eng1\n");
}

TEST_CASE("plan cache: threads that ask for one graph at once get one plan, decided once") {
  Cache cache("test 1");
  std::atomic<int> decided = 0, timing = 0, most = 0;
  std::vector<std::shared_ptr<const FakePlan>> plans(32);
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < 8; ++t)
      threads.emplace_back([&, t] {
        for (std::size_t k = 0; k < 4; ++k)
          plans[4 * t + k] = cache.get(
              text("graph ", k),
              [&] {
                return ++decided, FakeCandidates{{"eng2", "eng1"}};
              },
              [&](const FakePlan& plan) {
                most = std::max<int>(most, ++timing);
                std::this_thread::yield();
                --timing;
                return by_name(plan);
              });
      });
  }
  CHECK(decided == 4);
  CHECK(most == 1);  // two timings at once would disturb each other
  for (std::size_t i = 0; i < plans.size(); ++i) {
    REQUIRE(plans[i]);
    CHECK(plans[i] == plans[i % 4]);
    CHECK(plans[i]->engine == "eng1");
  }
}

TEST_CASE("plan filter: strict float32 and determinism drop what breaks them, and nothing else") {
  const PlanFilter any, strict{.math = {.strict_fp32 = true}}, repeatable{.math = {.deterministic = true}},
      both{.math = {.strict_fp32 = true, .deterministic = true}};
  const auto admitted = [&](const EngineNotes& notes) {
    return std::array{any.admits(notes), strict.admits(notes), repeatable.admits(notes), both.admits(notes)};
  };
  CHECK(admitted({}) == std::array{true, true, true, true});
  CHECK(admitted({.tensor_core = true}) == std::array{true, false, true, false});
  CHECK(admitted({.down_converts_inputs = true}) == std::array{true, false, true, false});
  CHECK(admitted({.reduced_precision_sums = true}) == std::array{false, false, false, false});
  CHECK(admitted({.nondeterministic = true}) == std::array{true, true, false, false});
  CHECK(admitted({.compiled_at_run_time = true}) == std::array{true, true, true, true});
}

TEST_CASE("plan filter: what it adds to a key tells every filter from every other") {
  std::set<std::string> keys;
  for (const bool strict : {false, true})
    for (const bool deterministic : {false, true})
      for (const std::int64_t limit : {std::int64_t{1} << 30, std::int64_t{0}})
        keys.insert(to_string(PlanFilter{.math = {strict, deterministic}, .workspace_limit = limit}));
  CHECK(keys.size() == 8);
  CHECK(to_string(PlanFilter{}).empty());
}

TEST_CASE("convolution keys: every size, type and fused step makes another key, on one line without ' = '") {
  using Pass = ConvPattern::Pass;
  const Conv2dShape base = Conv2dShape::of({4, 8, 12, 10}, {16, 8, 3, 3}, {.padding = 1});
  CHECK(conv_key({.bias = true, .relu = true}, base, "float32") ==
        "forward+bias+relu float32 x 4,8,12,10 w 16,8,3,3 y 12,10 stride 1,1 padding 1,1 dilation 1,1");

  std::vector<Conv2dShape> shapes{base};
  for (const auto member :
       {&Conv2dShape::batch, &Conv2dShape::in_channels, &Conv2dShape::height, &Conv2dShape::width,
        &Conv2dShape::out_channels, &Conv2dShape::kernel_height, &Conv2dShape::kernel_width,
        &Conv2dShape::out_height, &Conv2dShape::out_width, &Conv2dShape::groups}) {
    shapes.push_back(base);
    shapes.back().*member *= 2;
  }
  for (const auto member : {&Conv2dShape::stride, &Conv2dShape::padding, &Conv2dShape::dilation}) {
    shapes.push_back(base);
    (shapes.back().*member).height += 1;
    shapes.push_back(base);
    (shapes.back().*member).width += 1;
  }
  std::vector<ConvPattern> patterns;
  for (const auto pass : {Pass::none, Pass::forward, Pass::backward_data, Pass::backward_weights})
    for (unsigned bits = 0; bits < 64; ++bits)
      patterns.push_back({.normalize_input = (bits & 1) != 0,
                          .pass = pass,
                          .scale = (bits & 2) != 0,
                          .bias = (bits & 4) != 0,
                          .residual = (bits & 8) != 0,
                          .relu = (bits & 16) != 0,
                          .statistics = (bits & 32) != 0});
  std::set<std::string> keys;
  for (const auto& pattern : patterns)
    for (const auto& shape : shapes)
      for (const char* type : {"float32", "bfloat16"}) keys.insert(conv_key(pattern, shape, type));
  CHECK(keys.size() == patterns.size() * shapes.size() * 2);
  for (const auto& key : keys) REQUIRE((key.find(" = ") == key.npos && key.find('\n') == key.npos));
}

TEST_CASE("images have their channels padded to eight for bfloat16 alone") {
  const auto shape = [](std::int64_t channels, std::int64_t groups = 1) {
    return Conv2dShape::of({2, channels, 9, 9}, {groups, channels / groups, 3, 3}, {.groups = groups});
  };
  CHECK(detail::conv_padded<bfloat16>(shape(3)).in_channels == 8);
  CHECK(detail::conv_padded<bfloat16>(shape(3)).output() == shape(3).output());
  CHECK(detail::conv_padded<float>(shape(3)) == shape(3));
  for (const std::int64_t channels : {8, 12, 64})
    CHECK(detail::conv_padded<bfloat16>(shape(channels)) == shape(channels));
  CHECK(detail::conv_padded<bfloat16>(shape(4, 2)) == shape(4, 2));
}
