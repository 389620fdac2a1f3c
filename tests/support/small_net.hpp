// The smallest network whose saved state holds weights, moments and a random stream: for damage and fuzzing.
#pragma once

#include <string_view>

#include "kfer/nn/dropout.hpp"
#include "kfer/nn/linear.hpp"

namespace test {

struct Small {
  static constexpr std::string_view name = "small";
  kfer::Linear<> fc;
  kfer::Dropout dropout;
  explicit Small(kfer::RandomStream random = {.seed = 3}) : fc(2, 1, random), dropout(0.5, random) {}
  template <class Visitor>
  void visit(Visitor&& v) {
    v("fc", fc);
    v("dropout", dropout);
  }
};

}  // namespace test
