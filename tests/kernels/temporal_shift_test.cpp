#include "buffer.hpp"
#include "kernels/temporal_shift/shipped.cuh"

using namespace kfer;
using namespace kfer::test;

TEST_CASE_TEMPLATE("the temporal shift moves two parts of the channels by a frame", T, float, k::bf16,
                   double) {
  struct Size {
    long long clips, segments, pixels, channels, fold;
  };
  for (const Size& s :
       {Size{2, 8, 6, 64, 8}, Size{3, 4, 5, 16, 2}, Size{1, 3, 7, 17, 2}, Size{2, 1, 3, 8, 1},
        Size{2, 5, 1, 24, 12}, Size{1, 2, 9, 40, 0}, Size{2, 3, 2, 264, 33}, Size{0, 4, 3, 8, 1}})
    for (const int step : {1, -1})
      for (const int skew : {0, 1}) {
        INFO(s.clips, " clips of ", s.segments, " x ", s.pixels, " x ", s.channels, ", fold ", s.fold,
             ", step ", step, ", skew ", skew);
        const long long frames = s.clips * s.segments, n = frames * s.pixels * s.channels;
        const auto x = numbers(n, 1);
        std::vector<double> expected(x.size());
        for (long long i = 0; i < n; ++i) {
          const long long c = i % s.channels, frame = i / s.channels / s.pixels, t = frame % s.segments;
          const long long from = c < s.fold ? t + step : c < 2 * s.fold ? t - step : t;
          if (from >= 0 && from < s.segments)
            expected[static_cast<std::size_t>(i)] =
                x[static_cast<std::size_t>(i + (from - t) * s.pixels * s.channels)];
        }
        const Buffer<T> in(x, skew);
        Buffer<T> y(n);
        k::temporal_shift(in.data(), y.data(), frames, s.pixels, s.channels, s.segments, s.fold, step,
                          nullptr);
        CHECK(y.values() == expected);
        if (n == 0) continue;
        Buffer<T> naive(n), counted_long(n);
        launch(k::temporal_shift_naive<T>, static_cast<unsigned>(k::div_up(n, 256)), 256, 0, nullptr,
               in.data(), naive.data(), frames, s.pixels, s.channels, s.segments, s.fold, step);
        CHECK(naive.values() == expected);
        launch(k::temporal_shift_channels<T, 1, long long>, 2, 256, 0, nullptr, in.data(),
               counted_long.data(), k::Nhwc<long long>(1, s.pixels, s.channels),
               k::Divider<long long>(s.segments), s.pixels * s.channels, s.fold, step, n);
        CHECK(counted_long.values() == expected);
      }
}
