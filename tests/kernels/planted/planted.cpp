// planted NAME: runs one kernel that is wrong (or the right ones) under a sanitizer, whose report ctest looks
// for. Nothing here checks a result but the runs named clean.
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "kernels.cuh"

namespace {

namespace planted = kfer::kernels::planted;
using kfer::launch;
using kfer::simt::dim3;

/// Transposes [rows, cols]; how many elements are wrong.
template <bool with_barrier>
int wrong_in_transpose(int rows, int cols) {
  std::vector<float> in, out(static_cast<std::size_t>(rows * cols), -1.0f);
  for (int i = 0; i < rows * cols; ++i) in.push_back(static_cast<float>(i));
  const dim3 grid(static_cast<unsigned>(cols + 31) / 32, static_cast<unsigned>(rows + 31) / 32);
  launch(planted::transpose<float, with_barrier>, grid, dim3(32, 8), 0, nullptr, in.data(), out.data(), rows,
         cols);
  int wrong = 0;
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < cols; ++c) {
      wrong += out[static_cast<std::size_t>(c * rows + r)] != in[static_cast<std::size_t>(r * cols + c)];
    }
  }
  return wrong;
}

bool clean() {
  bool right = wrong_in_transpose<true>(70, 97) == 0;

  std::vector<float> x(100 * 32, 0.5f), total{0.0f}, partial(100);
  std::vector<int> positives{0};
  launch(planted::sum_and_count<float>, 3, 128, 128 * sizeof(float), nullptr, x.data(), 3200, total.data(),
         positives.data());
  right = right && total[0] == 1600 && positives[0] == 3200;

  std::vector<unsigned> ticket{0};
  launch(planted::sum_by_last_block<float>, 100, 32, 0, nullptr, x.data(), partial.data(), ticket.data(),
         total.data());
  right = right && total[0] == 1600;

  std::vector<float> y(5 * 33);
  launch(planted::softmax<float>, 5, 96, 0, nullptr, x.data(), y.data(), 33);
  for (float v : y) right = right && v > 0.0302f && v < 0.0304f;

  std::vector<float> a(48 * 48, 0.25f), c(48 * 48);
  launch(planted::matmul<>, dim3(3, 3), dim3(16, 16), 0, nullptr, a.data(), a.data(), c.data(), 48);
  for (float v : c) right = right && v == 3;
  return right;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<float> x(100, 1.0f), y(100);
  std::vector<int> numbers(256, 1);
  const auto between_blocks = [] { kfer::simt::config.race_check_between_blocks = true; };
  const std::pair<const char*, std::function<void()>> runs[] = {
      {"out_of_bounds",
       [&] { launch(planted::out_of_bounds<float>, 1, 128, 0, nullptr, x.data(), y.data(), 100); }},
      {"shared_out_of_bounds",
       [&] { launch(planted::shared_out_of_bounds<float>, 1, 32, 0, nullptr, y.data()); }},
      {"dynamic_shared_out_of_bounds",
       [&] {
         launch(planted::dynamic_shared_out_of_bounds<float>, 1, 32, 32 * sizeof(float), nullptr, y.data());
       }},
      {"misaligned_vector",
       [&] { launch(planted::misaligned_vector<float>, 1, 4, 0, nullptr, x.data(), y.data()); }},
      {"overflow", [&] { launch(planted::overflow<int>, 1, 4, 0, nullptr, numbers.data()); }},
      {"transpose_without_barrier", [] { wrong_in_transpose<false>(64, 64); }},
      {"histogram_without_atomics",
       [&] {
         std::vector<int> bins(4);
         launch(planted::histogram_without_atomics<int>, 1, 64, 0, nullptr, numbers.data(), 256, bins.data());
       }},
      {"exchange_without_syncwarp",
       [&] { launch(planted::exchange_without_syncwarp<float>, 1, 32, 0, nullptr, y.data()); }},
      {"blocks_that_overlap",
       [&] {
         between_blocks();
         launch(planted::blocks_that_overlap<float>, 4, 32, 0, nullptr, y.data());
       }},
      {"clean", [] { std::puts(clean() ? "all right" : "WRONG"); }},
      {"clean_between_blocks",
       [&] {
         between_blocks();
         std::puts(clean() ? "all right" : "WRONG");
       }},
  };
  for (const auto& [name, run] : runs) {
    if (argc == 2 && !std::strcmp(argv[1], name)) {
      run();
      return 0;
    }
  }
  std::fputs("usage: planted NAME, one of\n", stderr);
  for (const auto& [name, run] : runs) std::fprintf(stderr, "  %s\n", name);
  return 2;
}
