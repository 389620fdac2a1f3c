#include "buffer.hpp"
#include "kernels/pool/1_naive.cuh"
#include "kernels/pool/shipped.cuh"

using namespace kfer;
using namespace kfer::test;

namespace {

using Doubles = std::vector<double>;
using Cell = unsigned char;

k::Pool2d pool(long long images, long long channels, long long height, long long width, long long kernel,
               long long stride, long long padding) {
  return {images,
          channels,
          height,
          width,
          (height + 2 * padding - kernel) / stride + 1,
          (width + 2 * padding - kernel) / stride + 1,
          kernel,
          kernel,
          stride,
          stride,
          padding,
          padding};
}
long long inputs(const k::Pool2d& s) {
  return s.images * s.height * s.width * s.channels;
}
long long outputs(const k::Pool2d& s) {
  return s.images * s.out_height * s.out_width * s.channels;
}

/// Calls `visit(y_index, x_index, cell)` for each cell inside the image, windows in order, cells in order.
template <class Visit>
void cells_of(const k::Pool2d& s, const Visit& visit) {
  for (long long n = 0; n < s.images; ++n)
    for (long long i = 0; i < s.out_height; ++i)
      for (long long j = 0; j < s.out_width; ++j)
        for (long long u = 0; u < s.kernel_height; ++u)
          for (long long v = 0; v < s.kernel_width; ++v)
            for (long long c = 0; c < s.channels; ++c) {
              const long long h = i * s.stride_height + u - s.padding_height,
                              w = j * s.stride_width + v - s.padding_width;
              if (h >= 0 && h < s.height && w >= 0 && w < s.width)
                visit(static_cast<std::size_t>(((n * s.out_height + i) * s.out_width + j) * s.channels + c),
                      static_cast<std::size_t>(((n * s.height + h) * s.width + w) * s.channels + c),
                      static_cast<double>(u * s.kernel_width + v));
            }
}

/// Maximum pooling and its gradient by definition.
struct MaxPool {
  Doubles x, dy, y, cells, dx;
  MaxPool(const k::Pool2d& s, Doubles input) : x(std::move(input)), dy(numbers(outputs(s), 9)) {
    y = Doubles(dy.size());
    cells = Doubles(dy.size(), -1);
    dx = Doubles(x.size());
    cells_of(s, [&](std::size_t at, std::size_t from, double cell) {
      if (cells[at] >= 0 && !(x[from] > y[at]) && !std::isnan(x[from])) return;
      y[at] = x[from];
      cells[at] = cell;
    });
    cells_of(s, [&](std::size_t at, std::size_t from, double cell) {
      if (cells[at] == cell) dx[from] += dy[at];
    });
  }
};

/// Few distinct values, so that there are ties, and some that are not numbers, and minus infinities.
Doubles awkward(long long n, unsigned seed) {
  Doubles x = numbers(n, seed, -2, 2);
  for (double& v : x) v = std::round(v);
  std::mt19937 engine(seed);
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (engine() % 19 == 0) x[i] = std::numeric_limits<double>::quiet_NaN();
    if (engine() % 5 == 0) x[i] = -std::numeric_limits<double>::infinity();
  }
  return x;
}

const k::Pool2d shapes[] = {
    pool(2, 16, 8, 8, 2, 2, 0),  pool(1, 17, 7, 9, 2, 2, 0), pool(2, 8, 9, 11, 3, 2, 1),
    pool(3, 24, 5, 4, 3, 1, 1),  pool(1, 3, 6, 7, 2, 3, 1),  pool(2, 40, 5, 5, 1, 2, 0),
    pool(1, 8, 7, 6, 5, 2, 2),   pool(1, 8, 1, 1, 2, 1, 1),  pool(0, 8, 4, 4, 2, 2, 0),
    pool(2, 264, 3, 3, 2, 2, 0), pool(1, 1, 4, 2, 2, 2, 0),
};

}  // namespace

TEST_CASE_TEMPLATE("max pooling agrees with its definition, NaNs and ties included", T, float, k::bf16,
                   double) {
  for (const auto& s : shapes)
    for (const bool plain : {true, false})
      for (const int skew : {0, 1}) {
        INFO("channels ", s.channels, ", ", s.height, " x ", s.width, ", kernel ", s.kernel_height,
             ", stride ", s.stride_height, ", skew ", skew);
        const MaxPool p(s, plain ? numbers(inputs(s), 1) : awkward(inputs(s), 2));
        const Buffer<T> x(p.x, skew), dy(p.dy, skew);
        Buffer<T> y(outputs(s)), y_alone(outputs(s)), dx(inputs(s));
        Buffer<Cell> cells(outputs(s));
        k::max_pool_forward(x.data(), y.data(), cells.data(), s, nullptr);
        CHECK(difference(y.values(), p.y) == 0);
        CHECK(cells.values() == p.cells);
        k::max_pool_forward<T, Cell>(x.data(), y_alone.data(), nullptr, s, nullptr);
        CHECK(difference(y_alone.values(), p.y) == 0);
        k::max_pool_backward(dy.data(), cells.data(), dx.data(), s, nullptr);
        CHECK(difference(dx.values(), p.dx) < tolerance<T>());

        if (outputs(s) == 0) continue;
        Buffer<T> y_naive(outputs(s)), dx_naive(inputs(s));
        Buffer<int> wide(outputs(s));
        launch(k::max_pool_naive<T, int>, static_cast<unsigned>(k::div_up(outputs(s), 256)), 256, 0, nullptr,
               x.data(), y_naive.data(), wide.data(), s);
        CHECK(difference(y_naive.values(), p.y) == 0);
        CHECK(wide.values() == p.cells);
        launch(k::max_pool_naive_backward<T, int>, static_cast<unsigned>(k::div_up(inputs(s), 256)), 256, 0,
               nullptr, dy.data(), wide.data(), dx_naive.data(), s);
        CHECK(difference(dx_naive.values(), p.dx) < tolerance<T>());
      }
}

TEST_CASE_TEMPLATE("max pooling of large windows keeps its cells in int32", T, float, k::bf16, double) {
  const auto s = pool(1, 16, 23, 29, 19, 7, 9);
  const MaxPool p(s, awkward(inputs(s), 5));
  const Buffer<T> x(p.x), dy(p.dy);
  Buffer<T> y(outputs(s)), dx(inputs(s));
  Buffer<int> cells(outputs(s));
  k::max_pool_forward(x.data(), y.data(), cells.data(), s, nullptr);
  k::max_pool_backward(dy.data(), cells.data(), dx.data(), s, nullptr);
  CHECK(difference(y.values(), p.y) == 0);
  CHECK(cells.values() == p.cells);
  CHECK(difference(dx.values(), p.dx) < tolerance<T>());
}

TEST_CASE("windows and strides need not be square, and 64-bit indices give the same") {
  k::Pool2d s = pool(2, 8, 7, 10, 2, 1, 0);
  s.kernel_height = 3, s.padding_height = 1, s.stride_width = 2;
  s.out_height = 7, s.out_width = 5;
  const MaxPool p(s, awkward(inputs(s), 3));
  const Buffer<float> x(p.x), dy(p.dy);
  Buffer<float> y(outputs(s)), dx(inputs(s)), y_long(outputs(s)), dx_long(inputs(s));
  Buffer<Cell> cells(outputs(s)), cells_long(outputs(s));
  k::max_pool_forward(x.data(), y.data(), cells.data(), s, nullptr);
  k::max_pool_backward(dy.data(), cells.data(), dx.data(), s, nullptr);
  launch(k::max_pool_channels<float, 4, Cell, long long>, 2, 256, 0, nullptr, x.data(), y_long.data(),
         cells_long.data(), k::PoolWindows<long long>(s, 2, true), outputs(s) / 4);
  launch(k::max_pool_channels_backward<float, 4, Cell, long long>, 2, 256, 0, nullptr, dy.data(),
         cells.data(), dx_long.data(), k::PoolWindows<long long>(s, 2, false), inputs(s) / 4);
  CHECK(difference(y.values(), p.y) == 0);
  CHECK(difference(y_long.values(), p.y) == 0);
  CHECK(cells.values() == p.cells);
  CHECK(cells_long.values() == p.cells);
  CHECK(difference(dx.values(), p.dx) < 1e-6);
  CHECK(difference(dx_long.values(), p.dx) < 1e-6);
}

TEST_CASE_TEMPLATE("average pooling agrees with its definition", T, float, k::bf16, double) {
  for (const auto& s : shapes)
    for (const bool count_padding : {true, false})
      for (const int skew : {0, 1}) {
        INFO("channels ", s.channels, ", ", s.height, " x ", s.width, ", kernel ", s.kernel_height,
             ", stride ", s.stride_height, ", count padding ", count_padding, ", skew ", skew);
        const Doubles x = numbers(inputs(s), 1), dy = numbers(outputs(s), 2);
        Doubles y(dy.size()), count(dy.size()), dx(x.size());
        cells_of(s, [&](std::size_t at, std::size_t from, double) {
          y[at] += x[from];
          count[at] += 1;
        });
        if (count_padding)  // the padding counts, what lies beyond it does not
          for (std::size_t at = 0; at < y.size(); ++at) {
            const long long window = static_cast<long long>(at) / s.channels, j = window % s.out_width,
                            i = window / s.out_width % s.out_height;
            double inside = 0;
            for (long long u = 0; u < s.kernel_height; ++u)
              for (long long v = 0; v < s.kernel_width; ++v)
                inside += i * s.stride_height + u < s.height + 2 * s.padding_height &&
                          j * s.stride_width + v < s.width + 2 * s.padding_width;
            count[at] = inside;
          }
        for (std::size_t at = 0; at < y.size(); ++at) y[at] /= count[at];
        cells_of(s, [&](std::size_t at, std::size_t from, double) { dx[from] += dy[at] / count[at]; });
        const Buffer<T> in(x, skew), grad(dy, skew);
        Buffer<T> out(outputs(s)), back(inputs(s));
        k::avg_pool_forward(in.data(), out.data(), s, count_padding, nullptr);
        k::avg_pool_backward(grad.data(), back.data(), s, count_padding, nullptr);
        CHECK(difference(out.values(), y) < tolerance<T>());
        CHECK(difference(back.values(), dx) < tolerance<T>());
      }
}

TEST_CASE_TEMPLATE("global average pooling agrees with its definition", T, float, k::bf16, double) {
  struct Size {
    long long images, pixels, channels;
  };
  for (const Size& s :
       {Size{2, 49, 16}, {3, 7, 17}, {1, 1, 8}, {2, 300, 1}, {1, 64, 520}, {2, 5, 264}, {0, 4, 8}})
    for (const int skew : {0, 1}) {
      INFO(s.images, " images, ", s.pixels, " pixels, ", s.channels, " channels, skew ", skew);
      const Doubles x = numbers(s.images * s.pixels * s.channels, 1), dy = numbers(s.images * s.channels, 2);
      Doubles y(dy.size()), dx(x.size());
      for (std::size_t i = 0; i < x.size(); ++i) {
        const auto channels = static_cast<std::size_t>(s.channels),
                   pixels = static_cast<std::size_t>(s.pixels);
        const std::size_t at = i / channels / pixels * channels + i % channels;
        y[at] += x[i] / static_cast<double>(s.pixels);
        dx[i] = dy[at] / static_cast<double>(s.pixels);
      }
      const Buffer<T> in(x, skew), grad(dy, skew);
      Buffer<T> out(s.images * s.channels), back(s.images * s.pixels * s.channels);
      in_thread_orders([&] {
        k::global_avg_pool_forward(in.data(), out.data(), s.images, s.pixels, s.channels, nullptr);
        CHECK(difference(out.values(), y) < tolerance<T>());
      });
      k::global_avg_pool_backward(grad.data(), back.data(), s.images, s.pixels, s.channels, nullptr);
      CHECK(difference(back.values(), dx) < tolerance<T>());
    }
}
