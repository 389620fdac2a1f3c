
#include "support/op_check.hpp"

#include "support/device.hpp"
#if !defined(__CUDACC__)
#include "kfer/ops/temporal_shift/temporal_shift_cpu.hpp"
#endif
#if defined(KFER_TEST_GPU)
#include "kfer/ops/temporal_shift/temporal_shift_cuda.hpp"
#endif

using namespace kfer;
using test::numbers;

TEST_CASE_TEMPLATE("temporal_shift in float agrees with its definition in every memory order", D,
                   test::TestDevice) {
  for (const Shape& shape : {Shape{8, 16, 3, 4},
                             {4, 64, 2, 2},
                             {6, 17, 5, 3},
                             {2, 3, 4, 4},
                             {4, 24, 1, 1},
                             {4, 32, 1, 7},
                             {0, 16, 2, 2}})
    for (const std::int64_t segments : {1, 2})
      for (const std::int64_t divisor : {2, 3, 8})
        test::check_layouts<D>(
            [&](const auto& v) {
              return temporal_shift(v[0], {.segments = segments, .fold_divisor = divisor});
            },
            {numbers(shape, 1)}, 1e-6);
  test::check_layouts<D>([](const auto& v) { return temporal_shift(v[0]); }, {numbers({16, 16, 2, 3}, 2)},
                         1e-6);
}

TEST_CASE_TEMPLATE("temporal_shift takes one part from the next frame and one from the frame before", D,
                   test::TestDevice) {
  // Two clips of three frames, four channels: frame f, channel c holds 10 f + c.
  const Variable<float, D> x(Tensor<float, D>(
      {6, 4, 1, 1},
      {10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 33, 40, 41, 42, 43, 50, 51, 52, 53, 60, 61, 62, 63}));
  CHECK(temporal_shift(x, {.segments = 3, .fold_divisor = 4}).value().to_vector() ==
        std::vector<float>{20, 0, 12, 13, 30, 11, 22, 23, 0, 21, 32, 33,
                           50, 0, 42, 43, 60, 41, 52, 53, 0, 51, 62, 63});
}

TEST_CASE_TEMPLATE("gradients of temporal_shift", D, test::TestDevice) {
  gradcheck<D>([](const auto& v) { return temporal_shift(v[0], {.segments = 3, .fold_divisor = 4}); },
               {numbers({6, 9, 2, 1}, 1)});
}

TEST_CASE_TEMPLATE("temporal_shift names what does not fit", D, test::TestDevice) {
  const Variable<float, D> x(ones<float, D>({6, 8, 2, 2})), flat(ones<float, D>({8, 8}));
  CHECK(test::contains(test::message_of<ShapeError>([&] { temporal_shift(x, {.segments = 4}); }),
                       "[6, 8, 2, 2]"));
  CHECK_THROWS_AS(temporal_shift(flat), ShapeError);
  CHECK_THROWS_AS(temporal_shift(x, {.segments = 0}), ValueError);
  CHECK_THROWS_AS(temporal_shift(x, {.segments = 2, .fold_divisor = 1}), ValueError);
}
