
#include "support/op_check.hpp"

#include "support/device.hpp"
#if !defined(__CUDACC__)
#include "kfer/ops/upsample/upsample_cpu.hpp"
#endif
#if defined(KFER_TEST_GPU)
#include "kfer/ops/upsample/upsample_cuda.hpp"
#endif

using namespace kfer;
using test::numbers;

TEST_CASE_TEMPLATE("upsample_nearest in float agrees with its definition in every memory order", D,
                   test::TestDevice) {
  for (const Shape& shape :
       {Shape{2, 16, 3, 4}, {1, 17, 2, 3}, {2, 3, 5, 5}, {1, 24, 1, 1}, {1, 5, 5, 1}, {0, 16, 2, 2}})
    for (const std::int64_t scale : {1, 2, 3})
      test::check_layouts<D>([=](const auto& v) { return upsample_nearest(v[0], scale); },
                             {numbers(shape, 1)});
}

TEST_CASE_TEMPLATE("upsample_nearest repeats pixels", D, test::TestDevice) {
  const Variable<float, D> x(Tensor<float, D>({1, 1, 1, 2}, {3, 4}));
  CHECK(upsample_nearest(x, 2).value().to_vector() == std::vector<float>{3, 3, 4, 4, 3, 3, 4, 4});
  gradcheck<D>([](const auto& v) { return upsample_nearest(v[0], 2); }, {numbers({1, 2, 3, 2}, 1)});
  CHECK_THROWS_AS(upsample_nearest(x, 0), ValueError);
  CHECK_THROWS_AS(upsample_nearest(Variable<float, D>(ones<float, D>({2, 2})), 2), ShapeError);
}
