// main() of a test program that needs a GPU: without one, it says so in one line and exits with 77,
// "skipped".
#pragma once

#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>

#include "kfer/device/cuda.hpp"

/// How libraries compute in the tests of this program, which may change it before main().
inline kfer::MathOptions math_of_tests;

int main(int argc, char** argv) {
  if (const auto state = kfer::Cuda::available(); !state) {
    std::printf("SKIPPED: no GPU: %s\n", state.reason.c_str());
    return 77;
  }
  std::printf("%s\n", kfer::Cuda::description().c_str());
  kfer::Cuda::math() = math_of_tests;
  return doctest::Context(argc, argv).run();
}
