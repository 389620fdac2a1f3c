// Batches of byte images normalised into NHWC, with three channels or padded to eight, half of the images
// mirrored.
#include "bench.cuh"
#include "kfer/kernels/image/1_naive.cuh"
#include "kfer/kernels/image/shipped.cuh"

namespace k = kfer::kernels;

namespace {

template <class T>
void sizes(bench::Suite& suite, long long images, int side, int padded) {
  const k::ImageBatch batch{images, side, side, 3, padded};
  const float mean[4] = {0.485f, 0.456f, 0.406f, 0}, deviation[4] = {0.229f, 0.224f, 0.225f, 1};
  const auto normalisation = k::Normalisation::of(1.0 / 255, mean, deviation);
  const long long pixels = images * batch.pixels();
  const auto values = bench::random_values<unsigned char>(pixels * 3, 1, 0, 256);
  const auto mirrored = bench::random_values<unsigned char>(images, 2, 0, 2);
  const bench::Array<unsigned char> x(values), flip(mirrored);
  const bench::Array<T> y(pixels * padded);
  auto c = suite.make_case(
      bench::text("[%lld, %d, %d, 3] to %d channels, %s", images, side, side, padded, bench::type_name<T>),
      {.bytes = static_cast<double>(pixels) * (3.0 + padded * sizeof(T))});
  c.expect(
      y,
      [&](std::size_t i) {
        const long long at = static_cast<long long>(i), channel = at % padded, row = at / padded / side,
                        column = at / padded % side, image = row / side;
        if (channel >= 3) return 0.0;
        const long long from = row * side + (mirrored[image] ? side - 1 - column : column);
        return (values[from * 3 + channel] / 255.0 - static_cast<double>(mean[channel])) /
               static_cast<double>(deviation[channel]);
      },
      bench::tolerance<T>());
  c.variant("1_naive", [&] {
    k::images_to_nhwc_naive(x.data(), y.data(), batch, normalisation, flip.data(), bench::stream());
  });
  c.variant("2_vectorised", [&] {
    k::images_to_nhwc_vectorised(x.data(), y.data(), batch, normalisation, flip.data(), bench::stream());
  });
  c.variant("shipped", [&] {
    k::images_to_nhwc(x.data(), y.data(), batch, normalisation, flip.data(), bench::stream());
  });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_suite(
      "image", argc, argv,
      []<class T>(bench::Suite& suite, T) {
        for (const int padded : {3, 8}) {
          sizes<T>(suite, 3, 5, padded);
          sizes<T>(suite, 2, 24, padded);
        }
      },
      []<class T>(bench::Suite& suite, T) {
        for (const int padded : {3, 8}) {
          sizes<T>(suite, 64, 64, padded);
          sizes<T>(suite, 128, 224, padded);
        }
      });
}
