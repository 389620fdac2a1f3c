// Max pooling, 3 x 3 at stride 2 as ResNet50's first and 2 x 2 as a plain network's, with its gradient; the
// mean over all pixels before a classifier.
#include "bench.cuh"
#include "kfer/kernels/pool/1_naive.cuh"
#include "kfer/kernels/pool/shipped.cuh"
#if defined(__CUDACC__)
#include <cudnn.h>
#endif

namespace k = kfer::kernels;

namespace {

using Cell = std::uint8_t;

#if defined(__CUDACC__)
/// cudnnPooling over NHWC activations.
class CudnnPool {
 public:
  CudnnPool(cudnnDataType_t type, const k::Pool2d& s) {
    const auto i = [](long long n) { return static_cast<int>(n); };
    check(cudnnCreate(&handle_));
    check(cudnnSetStream(handle_, bench::stream()));
    check(cudnnCreateTensorDescriptor(&x_));
    check(cudnnCreateTensorDescriptor(&y_));
    check(cudnnCreatePoolingDescriptor(&pool_));
    check(cudnnSetTensor4dDescriptor(x_, CUDNN_TENSOR_NHWC, type, i(s.images), i(s.channels), i(s.height),
                                     i(s.width)));
    check(cudnnSetTensor4dDescriptor(y_, CUDNN_TENSOR_NHWC, type, i(s.images), i(s.channels), i(s.out_height),
                                     i(s.out_width)));
    check(cudnnSetPooling2dDescriptor(pool_, CUDNN_POOLING_MAX_DETERMINISTIC, CUDNN_PROPAGATE_NAN,
                                      i(s.kernel_height), i(s.kernel_width), i(s.padding_height),
                                      i(s.padding_width), i(s.stride_height), i(s.stride_width)));
  }
  ~CudnnPool() {
    cudnnDestroyPoolingDescriptor(pool_);
    cudnnDestroyTensorDescriptor(y_);
    cudnnDestroyTensorDescriptor(x_);
    cudnnDestroy(handle_);
  }
  CudnnPool(const CudnnPool&) = delete;
  CudnnPool& operator=(const CudnnPool&) = delete;

  void forward(const void* x, void* y) const {
    check(cudnnPoolingForward(handle_, pool_, &one_, x_, x, &zero_, y_, y));
  }
  void backward(const void* x, const void* y, const void* dy, void* dx) const {
    check(cudnnPoolingBackward(handle_, pool_, &one_, y_, y, y_, dy, x_, x, &zero_, x_, dx));
  }

 private:
  static void check(cudnnStatus_t status) {
    if (status != CUDNN_STATUS_SUCCESS)
      throw std::runtime_error(std::string("cuDNN pooling: ") + cudnnGetErrorString(status));
  }
  cudnnHandle_t handle_ = nullptr;
  cudnnTensorDescriptor_t x_ = nullptr, y_ = nullptr;
  cudnnPoolingDescriptor_t pool_ = nullptr;
  float one_ = 1, zero_ = 0;
};
#endif

template <int K, class T>
void max_pool(bench::Suite& suite, long long images, long long side, long long channels, long long stride,
              long long padding) {
  const long long out = (side + 2 * padding - K) / stride + 1, n = images * side * side * channels,
                  windows = images * out * out * channels;
  const k::Pool2d s{images, channels, side, side, out, out, K, K, stride, stride, padding, padding};
  const auto in = bench::random_values<T>(n, 1), upstream = bench::random_values<T>(windows, 2);
  const bench::Array<T> x(in), dy(upstream), y(windows), dx(n);

  std::vector<T> largest(windows);
  std::vector<Cell> from(windows);
  for (long long i = 0; i < windows; ++i) {
    const long long c = i % channels, q = i / channels % out, p = i / channels / out % out,
                    image = i / channels / out / out;
    double best = 0;
    int cell = -1;
    for (int u = 0; u < K; ++u)
      for (int v = 0; v < K; ++v) {
        const long long h = p * stride + u - padding, w = q * stride + v - padding;
        if (h < 0 || h >= side || w < 0 || w >= side) continue;
        const T value = in[((image * side + h) * side + w) * channels + c];
        if (cell >= 0 && bench::number(value) <= best) continue;
        best = bench::number(value);
        largest[i] = value;
        cell = u * K + v;
      }
    from[i] = static_cast<Cell>(cell);
  }
  const bench::Array<Cell> cells(windows), given(from);
  const std::string size = bench::text("%dx%d/%lld, [%lld, %lld, %lld, %lld], %s", K, K, stride, images,
                                       channels, side, side, bench::type_name<T>);
  const double bytes = static_cast<double>(n + windows) * sizeof(T);
  constexpr int N = k::vec_width<T>;
  const bool vectors = channels % N == 0;
  const auto items = static_cast<unsigned>(windows / N), in_items = static_cast<unsigned>(n / N);

  auto forward = suite.make_case("max pool, " + size, {.bytes = bytes + static_cast<double>(windows)});
  forward.expect(
      y, [&](std::size_t i) { return bench::number(largest[i]); }, 0);
#if defined(__CUDACC__)
  const CudnnPool cudnn(sizeof(T) == 4 ? CUDNN_DATA_FLOAT : CUDNN_DATA_BFLOAT16, s);
  forward.library("cuDNN", [&] { cudnn.forward(x.data(), y.data()); });  // leaves no cells
#endif
  forward.expect(
      cells, [&](std::size_t i) { return static_cast<double>(from[i]); }, 0);
  forward.variant("1_naive", [&] {
    kfer::launch(k::max_pool_naive<T, Cell>, dim3(static_cast<unsigned>(k::div_up(windows, 256))), dim3(256),
                 0, bench::stream(), x.data(), y.data(), cells.data(), s);
  });
  if (vectors) {
    const k::PoolWindows<unsigned> places(s, channels / N, true);
    forward.variant("2_channel_vectors", [&] {
      kfer::launch(k::max_pool_channels<T, N, Cell, unsigned>, dim3(k::grid_blocks(items, 256)), dim3(256), 0,
                   bench::stream(), x.data(), y.data(), cells.data(), places, items);
    });
    forward.variant("3_known_windows", [&] {
      kfer::launch(k::max_pool_known<K, T, N, Cell, unsigned>, dim3(k::grid_blocks(items, 256)), dim3(256), 0,
                   bench::stream(), x.data(), y.data(), cells.data(), places, items);
    });
  }
  forward.variant("shipped",
                  [&] { k::max_pool_forward(x.data(), y.data(), cells.data(), s, bench::stream()); });

  auto backward =
      suite.make_case("max pool backward, " + size, {.bytes = bytes + static_cast<double>(windows)});
  backward.expect(
      dx,
      [&](std::size_t at) {
        const long long i = static_cast<long long>(at), c = i % channels, w = i / channels % side,
                        h = i / channels / side % side, image = i / channels / side / side;
        double sum = 0;
        for (int u = 0; u < K; ++u)
          for (int v = 0; v < K; ++v) {
            const long long p = h + padding - u, q = w + padding - v;
            if (p < 0 || q < 0 || p % stride || q % stride || p / stride >= out || q / stride >= out)
              continue;
            const long long window = ((image * out + p / stride) * out + q / stride) * channels + c;
            if (from[window] == u * K + v) sum += bench::number(upstream[window]);
          }
        return sum;
      },
      bench::tolerance<T>());
  if (n < 1 << 22)  // it walks over every window for every element
    backward.variant("1_naive", [&] {
      kfer::launch(k::max_pool_naive_backward<T, Cell>, dim3(static_cast<unsigned>(k::div_up(n, 256))),
                   dim3(256), 0, bench::stream(), dy.data(), given.data(), dx.data(), s);
    });
  if (vectors)
    backward.variant("2_channel_vectors", [&] {
      kfer::launch(k::max_pool_channels_backward<T, N, Cell, unsigned>, dim3(k::grid_blocks(in_items, 256)),
                   dim3(256), 0, bench::stream(), dy.data(), given.data(), dx.data(),
                   k::PoolWindows<unsigned>(s, channels / N, false), in_items);
    });
  if (vectors && K == 2 && stride == 2 && padding == 0)
    backward.variant("3_known_windows", [&] {
      k::PoolWindows<unsigned> places(s, channels / N, false);
      const long long half = k::div_up(side, 2), tiles = images * half * half * (channels / N);
      places.grid = k::Nhwc<unsigned>(half, half, channels / N);
      kfer::launch(k::max_pool_tiles_backward<T, N, Cell, unsigned>, dim3(k::grid_blocks(tiles, 256)),
                   dim3(256), 0, bench::stream(), dy.data(), given.data(), dx.data(), places,
                   static_cast<unsigned>(tiles));
    });
  backward.variant("shipped",
                   [&] { k::max_pool_backward(dy.data(), given.data(), dx.data(), s, bench::stream()); });
#if defined(__CUDACC__)
  if (sizeof(T) == 4) {  // in bf16 equal maxima are common, and cuDNN may choose another one of them
    const bench::Array<T> top(largest);
    backward.library("cuDNN", [&] { cudnn.backward(x.data(), top.data(), dy.data(), dx.data()); });
  }
#endif
}

template <class T>
void global_mean(bench::Suite& suite, long long images, long long pixels, long long channels) {
  const long long n = images * pixels * channels;
  const auto in = bench::random_values<T>(n, 1), upstream = bench::random_values<T>(images * channels, 2);
  const bench::Array<T> x(in), dy(upstream), y(images * channels), dx(n);
  const std::string size =
      bench::text("%lld x %lld x %lld, %s", images, pixels, channels, bench::type_name<T>);
  const double bytes = static_cast<double>(n + images * channels) * sizeof(T);
  auto forward = suite.make_case("global mean, " + size, {.bytes = bytes});
  forward.expect(
      y,
      [&](std::size_t i) {
        const long long image = static_cast<long long>(i) / channels,
                        c = static_cast<long long>(i) % channels;
        double sum = 0;
        for (long long p = 0; p < pixels; ++p) sum += bench::number(in[(image * pixels + p) * channels + c]);
        return sum / static_cast<double>(pixels);
      },
      bench::tolerance<T>());
  forward.variant("shipped", [&] {
    k::global_avg_pool_forward(x.data(), y.data(), images, pixels, channels, bench::stream());
  });
  auto backward = suite.make_case("global mean backward, " + size, {.bytes = bytes});
  backward.expect(
      dx,
      [&](std::size_t i) {
        const long long at = static_cast<long long>(i);
        return bench::number(upstream[at / channels / pixels * channels + at % channels]) /
               static_cast<double>(pixels);
      },
      bench::tolerance<T>());
  backward.variant("shipped", [&] {
    k::global_avg_pool_backward(dy.data(), dx.data(), images, pixels, channels, bench::stream());
  });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_suite(
      "pool", argc, argv,
      []<class T>(bench::Suite& suite, T) {
        max_pool<3, T>(suite, 2, 7, 3, 2, 1);
        max_pool<3, T>(suite, 1, 12, 16, 2, 1);
        max_pool<2, T>(suite, 2, 9, 16, 2, 0);
        global_mean<T>(suite, 2, 49, 7);
        global_mean<T>(suite, 2, 49, 64);
      },
      []<class T>(bench::Suite& suite, T) {
        max_pool<3, T>(suite, 64, 32, 64, 2, 1);
        max_pool<3, T>(suite, 128, 112, 64, 2, 1);
        max_pool<2, T>(suite, 64, 64, 32, 2, 0);
        global_mean<T>(suite, 128, 49, 2048);
      });
}
