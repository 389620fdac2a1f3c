// Softmax and its gradient over the rows of logits: 8192 x 1000, and rows of a vocabulary's length.
#include "bench.cuh"
#include "kfer/kernels/softmax/1_naive.cuh"
#include "kfer/kernels/softmax/2_block.cuh"
#include "kfer/kernels/softmax/shipped.cuh"
#if defined(__CUDACC__)
#include <cudnn.h>
#endif

namespace k = kfer::kernels;

namespace {

#if defined(__CUDACC__)
/// cudnnSoftmaxForward over [rows, cols].
class CudnnSoftmax {
 public:
  CudnnSoftmax(cudnnDataType_t type, long long rows, long long cols) {
    check(cudnnCreate(&handle_));
    check(cudnnSetStream(handle_, bench::stream()));
    check(cudnnCreateTensorDescriptor(&tensor_));
    check(cudnnSetTensor4dDescriptor(tensor_, CUDNN_TENSOR_NCHW, type, static_cast<int>(rows),
                                     static_cast<int>(cols), 1, 1));
  }
  ~CudnnSoftmax() {
    cudnnDestroyTensorDescriptor(tensor_);
    cudnnDestroy(handle_);
  }
  CudnnSoftmax(const CudnnSoftmax&) = delete;
  CudnnSoftmax& operator=(const CudnnSoftmax&) = delete;

  void forward(const void* x, void* y) const {
    check(cudnnSoftmaxForward(handle_, CUDNN_SOFTMAX_ACCURATE, CUDNN_SOFTMAX_MODE_CHANNEL, &one_, tensor_, x,
                              &zero_, tensor_, y));
  }
  void backward(const void* y, const void* dy, void* dx) const {
    check(cudnnSoftmaxBackward(handle_, CUDNN_SOFTMAX_ACCURATE, CUDNN_SOFTMAX_MODE_CHANNEL, &one_, tensor_, y,
                               tensor_, dy, &zero_, tensor_, dx));
  }

 private:
  static void check(cudnnStatus_t status) {
    if (status != CUDNN_STATUS_SUCCESS)
      throw std::runtime_error(std::string("cuDNN softmax: ") + cudnnGetErrorString(status));
  }
  cudnnHandle_t handle_ = nullptr;
  cudnnTensorDescriptor_t tensor_ = nullptr;
  float one_ = 1, zero_ = 0;
};
#endif

/// What the elements of a row share; asked for neighbours, it works each row out once.
template <class Work>
class PerRow {
 public:
  explicit PerRow(Work work) : work_(std::move(work)) {}
  double operator()(long long row) {
    if (row != row_) value_ = work_(row_ = row);
    return value_;
  }

 private:
  Work work_;
  long long row_ = -1;
  double value_ = 0;
};

template <class T>
void sizes(bench::Suite& suite, long long rows, long long cols) {
  const long long n = rows * cols;
  const double bytes = static_cast<double>(n) * sizeof(T);
  const std::string size = bench::text("%lld x %lld, %s", rows, cols, bench::type_name<T>);
  const auto logits = bench::random_values<T>(n, 1, -4, 4), upstream = bench::random_values<T>(n, 2);
  // Backward takes y as it is given: positive, of a sum near 1.
  const auto result = bench::random_values<T>(n, 3, 0, 2.0 / static_cast<double>(cols));
  const bench::Array<T> x(logits), dy(upstream), probability(result), y(n);

  PerRow sum([&](long long r) {
    double total = 0;
    for (long long c = 0; c < cols; ++c) total += std::exp(bench::number(logits[r * cols + c]));
    return total;
  });
  PerRow dot([&](long long r) {
    double total = 0;
    for (long long i = r * cols; i < (r + 1) * cols; ++i)
      total += bench::number(result[i]) * bench::number(upstream[i]);
    return total;
  });
  // Scaled by the columns below, so that a tolerance relative to 1 + |y| means something for a y of 1 / cols.
  const double tight = bench::tolerance<T>() / static_cast<double>(cols) * 8;
  auto forward = suite.make_case("softmax, " + size, {.bytes = 2 * bytes});
  forward.expect(
      y,
      [&](std::size_t i) {
        return std::exp(bench::number(logits[i])) / sum(static_cast<long long>(i) / cols);
      },
      tight);
  const auto in = x.data();
  forward.variant("1_naive", [&] { k::softmax_naive(in, y.data(), rows, cols, false, bench::stream()); });
  forward.variant("2_block", [&] { k::softmax_block(in, y.data(), rows, cols, false, bench::stream()); });
  forward.variant("3_online", [&] { k::softmax_online(in, y.data(), rows, cols, false, bench::stream()); });
  if (cols <= k::longest_tile_row<T>)
    forward.variant("4_warp", [&] { k::softmax_warp(in, y.data(), rows, cols, false, bench::stream()); });
  forward.variant("shipped", [&] { k::softmax_forward(in, y.data(), rows, cols, false, bench::stream()); });
#if defined(__CUDACC__)
  const CudnnSoftmax cudnn(sizeof(T) == 4 ? CUDNN_DATA_FLOAT : CUDNN_DATA_BFLOAT16, rows, cols);
  forward.library("cuDNN", [&] { cudnn.forward(in, y.data()); });
#endif

  auto backward = suite.make_case("softmax backward, " + size, {.bytes = 3 * bytes});
  backward.expect(
      y,
      [&](std::size_t i) {
        return bench::number(result[i]) *
               (bench::number(upstream[i]) - dot(static_cast<long long>(i) / cols));
      },
      tight);
  const auto p = probability.data(), d = dy.data();
  backward.variant("1_naive",
                   [&] { k::softmax_backward_naive(p, d, y.data(), rows, cols, false, bench::stream()); });
  backward.variant("2_block",
                   [&] { k::softmax_backward_block(p, d, y.data(), rows, cols, false, bench::stream()); });
  backward.variant("3_online",
                   [&] { k::softmax_backward_online(p, d, y.data(), rows, cols, false, bench::stream()); });
  if (cols <= k::longest_tile_row<T>)
    backward.variant("4_warp",
                     [&] { k::softmax_backward_warp(p, d, y.data(), rows, cols, false, bench::stream()); });
  backward.variant("shipped",
                   [&] { k::softmax_backward(p, d, y.data(), rows, cols, false, bench::stream()); });
#if defined(__CUDACC__)
  backward.library("cuDNN", [&] { cudnn.backward(p, d, y.data()); });
#endif
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_suite(
      "softmax", argc, argv,
      []<class T>(bench::Suite& suite, T) {
        sizes<T>(suite, 5, 7);
        sizes<T>(suite, 9, 1000);
        sizes<T>(suite, 2, 5003);
      },
      []<class T>(bench::Suite& suite, T) {
        sizes<T>(suite, 64, 24);
        sizes<T>(suite, 8192, 1000);
        sizes<T>(suite, 2048, 32000);
      });
}
