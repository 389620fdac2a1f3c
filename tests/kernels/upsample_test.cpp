#include "buffer.hpp"
#include "kernels/upsample/1_naive.cuh"
#include "kernels/upsample/shipped.cuh"

using namespace kfer;
using namespace kfer::test;

TEST_CASE_TEMPLATE("upsampling copies pixels, and its gradient sums the copies", T, float, k::bf16, double) {
  struct Size {
    long long images, height, width, channels, scale;
  };
  for (const Size& s : {Size{2, 3, 4, 16, 2}, Size{1, 5, 3, 17, 3}, Size{3, 1, 1, 8, 5}, Size{1, 7, 2, 24, 1},
                        Size{2, 2, 3, 1, 2}, Size{1, 3, 3, 264, 2}, Size{0, 2, 2, 8, 2}})
    for (const int skew : {0, 1}) {
      INFO(s.images, " x ", s.height, " x ", s.width, " x ", s.channels, ", scale ", s.scale, ", skew ",
           skew);
      const long long small = s.images * s.height * s.width * s.channels, large = small * s.scale * s.scale;
      const auto x = numbers(small, 1), add = numbers(large, 2), dy = numbers(large, 3);
      std::vector<double> y(add.size()), sum(add.size()), dx(x.size());
      for (long long n = 0; n < s.images; ++n)
        for (long long i = 0; i < s.height * s.scale; ++i)
          for (long long j = 0; j < s.width * s.scale; ++j)
            for (long long c = 0; c < s.channels; ++c) {
              const auto to = static_cast<std::size_t>(
                  ((n * s.height * s.scale + i) * s.width * s.scale + j) * s.channels + c);
              const auto from = static_cast<std::size_t>(
                  ((n * s.height + i / s.scale) * s.width + j / s.scale) * s.channels + c);
              y[to] = x[from];
              sum[to] = x[from] + add[to];
              dx[from] += dy[to];
            }
      const Buffer<T> in(x, skew), more(add, skew), grad(dy, skew);
      Buffer<T> plain(large), added(large), back(small);
      k::upsample_forward<T>(in.data(), nullptr, plain.data(), s.images, s.height, s.width, s.channels,
                             s.scale, nullptr);
      k::upsample_forward(in.data(), more.data(), added.data(), s.images, s.height, s.width, s.channels,
                          s.scale, nullptr);
      k::upsample_backward(grad.data(), back.data(), s.images, s.height, s.width, s.channels, s.scale,
                           nullptr);
      CHECK(difference(plain.values(), y) == 0);
      CHECK(difference(added.values(), sum) < tolerance<T>());
      CHECK(difference(back.values(), dx) < tolerance<T>());
      if (small == 0) continue;

      Buffer<T> added_naive(large), back_naive(small), back_long(small), added_long(large);
      launch(k::upsample_naive<T>, static_cast<unsigned>(k::div_up(large, 256)), 256, 0, nullptr, in.data(),
             more.data(), added_naive.data(), s.images, s.height, s.width, s.channels, s.scale);
      launch(k::upsample_naive_backward<T>, static_cast<unsigned>(k::div_up(small, 256)), 256, 0, nullptr,
             grad.data(), back_naive.data(), s.images, s.height, s.width, s.channels, s.scale);
      CHECK(difference(added_naive.values(), sum) < tolerance<T>());
      CHECK(difference(back_naive.values(), dx) < tolerance<T>());

      launch(k::upsample_channels<T, 1, long long>, 2, 256, 0, nullptr, in.data(), more.data(),
             added_long.data(), k::Nhwc<long long>(s.height * s.scale, s.width * s.scale, s.channels),
             k::Divider<long long>(s.scale), s.height, s.width, s.channels, large);
      launch(k::upsample_channels_backward<0, T, 1, long long>, 2, 256, 0, nullptr, grad.data(),
             back_long.data(), k::Nhwc<long long>(s.height, s.width, s.channels), static_cast<int>(s.scale),
             s.height, s.width, s.channels, small);
      CHECK(added_long.values() == added.values());
      CHECK(back_long.values() == back.values());
    }
}
