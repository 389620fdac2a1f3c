// Golden values: safetensors files of tests/data with cases `case3/x` and their parameters `case3.stride`,
// which tests/data/README.md describes.
#pragma once

#include <cstdlib>

#include "kfer/io/safetensors.hpp"
#include "support/op_check.hpp"

namespace kfer::test {

/// One case of a golden file.
class GoldenCase {
 public:
  GoldenCase(const io::Safetensors& file, int number) : file_(&file), name_(text("case", number)) {}

  const std::string& name() const { return name_; }
  bool has(const std::string& tensor) const { return file_->contains(name_ + '/' + tensor); }
  const Shape& shape(const std::string& tensor) const { return file_->at(name_ + '/' + tensor).shape; }
  template <class T, class Stored = float>
  Tensor<T, Cpu> tensor(const std::string& tensor) const {
    const auto values = file_->values<Stored>(name_ + '/' + tensor);
    return Tensor<T, Cpu>(file_->at(name_ + '/' + tensor).shape,
                          std::span<const T>(std::vector<T>(values.begin(), values.end())));
  }

  std::string string(const std::string& key) const {
    const auto value = file_->metadata(name_ + '.' + key);
    require<FormatError>(value.has_value(), name_, ": no parameter '", key, "'");
    return *value;
  }
  bool flag(const std::string& key) const { return string(key) == "true"; }
  double number(const std::string& key) const { return std::strtod(string(key).c_str(), nullptr); }
  std::int64_t integer(const std::string& key) const {
    return std::strtoll(string(key).c_str(), nullptr, 10);
  }
  std::vector<double> numbers(const std::string& key) const {
    std::vector<double> out;
    const std::string list = string(key);
    for (const char* p = list.c_str(); *p;) {
      char* end = nullptr;
      out.push_back(std::strtod(p, &end));
      require<FormatError>(end != p, name_, ": parameter '", key, "' is no list of numbers: ", list);
      p = *end == ',' ? end + 1 : end;
    }
    return out;
  }
  std::vector<int> integers(const std::string& key) const {
    const auto list = numbers(key);
    return {list.begin(), list.end()};
  }

 private:
  const io::Safetensors* file_;
  std::string name_;
};

/// Calls `visit(case)` for every case of tests/data/ops/<name>.safetensors.
template <class Visit>
void for_each_golden(const std::string& name, const Visit& visit) {
  const auto file = io::Safetensors::open(std::string(KFER_TEST_DATA) + "/ops/" + name + ".safetensors");
  const int cases = std::atoi(file.metadata("cases").value_or("0").c_str());
  REQUIRE(cases > 0);
  for (int i = 0; i < cases; ++i) {
    const GoldenCase golden(file, i);
    INFO(name, " ", golden.name());
    visit(golden);
  }
}

/// Runs `f(variables)` on the named inputs of a case, in double and in float on D, the first input in every
/// memory order, and compares the result with `y` and the gradients with `grad_<input>`, where the case has
/// them.
template <class D, class F>
void check_golden(const GoldenCase& golden, const std::vector<std::string>& names, const F& f,
                  double tolerance = 2e-5) {
  const auto run = [&](auto zero, const Layout& layout, double limit) {
    using T = decltype(zero);
    std::vector<Variable<T, D>> inputs;
    for (const auto& name : names) {
      const auto value = golden.tensor<T>(name);
      inputs.emplace_back(to_device<D>(inputs.empty() ? value.to(layout) : value), true);
    }
    const auto y = f(inputs);
    INFO("layout ", to_string(layout), ", ", dtype_name<T>());
    const auto expected = golden.tensor<double>("y");
    REQUIRE(y.shape() == expected.shape());
    CHECK(largest_difference(y.value(), expected) < limit);
    backward(y, to_device<D>(golden.has("grad_y") ? golden.tensor<T>("grad_y") : ones<T, Cpu>(y.shape()))
                    .to(y.value().layout()));
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (!golden.has("grad_" + names[i])) continue;
      INFO("gradient of ", names[i]);
      REQUIRE(inputs[i].has_grad());
      CHECK(largest_difference(inputs[i].grad(), golden.tensor<double>("grad_" + names[i])) < limit);
    }
  };
  const Shape shape = golden.tensor<double>(names[0]).shape();
  run(double{}, Layout::row_major(shape.rank()), 1e-6);
  for (const Layout& layout : layouts_of(shape)) run(float{}, layout, tolerance);
}

}  // namespace kfer::test
