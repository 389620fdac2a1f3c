// Bytes of images to normalised numbers: both variants against the definition in double.
#include "kernels/image/1_naive.cuh"
#include "kernels/image/2_vectorised.cuh"
#include "kernels/image/shipped.cuh"

#include "buffer.hpp"

namespace {

namespace k = kfer::kernels;
using kfer::test::Buffer;
using kfer::test::difference;
using kfer::test::tolerance;

constexpr float mean[4] = {0.485f, 0.456f, 0.406f, 0.5f}, deviation[4] = {0.229f, 0.224f, 0.225f, 0.25f};

}  // namespace

TEST_CASE_TEMPLATE("images of bytes to normalised numbers, mirrored or not, padded or not", T, float, k::bf16,
                   double) {
  struct Case {
    int images, height, width, channels, padded;
    int skew, byte_skew;
  };
  for (const auto c : {Case{1, 1, 1, 3, 3, 0, 0},
                       {2, 5, 7, 3, 3, 0, 0},
                       {3, 8, 8, 3, 3, 0, 0},
                       {3, 8, 8, 3, 3, 1, 0},
                       {2, 8, 8, 3, 3, 0, 1},
                       {2, 5, 7, 3, 8, 0, 0},
                       {2, 9, 16, 3, 8, 0, 3},
                       {2, 9, 16, 3, 8, 1, 0},
                       {4, 6, 5, 1, 1, 0, 0},
                       {3, 16, 16, 1, 1, 0, 0},
                       {2, 5, 3, 1, 8, 0, 0},
                       {2, 4, 5, 4, 4, 0, 0},
                       {2, 4, 5, 2, 8, 0, 0},
                       {0, 4, 5, 3, 8, 0, 0},
                       {1, 61, 53, 3, 8, 0, 0},
                       {2, 64, 64, 3, 3, 0, 0}})
    for (const bool mirror : {false, true}) {
      INFO(c.images, " of ", c.height, " x ", c.width, " x ", c.channels, " to ", c.padded, ", mirror ",
           mirror);
      const long long pixels = c.images * c.height * c.width;
      Buffer<unsigned char> bytes(pixels * c.channels, c.byte_skew);
      std::mt19937 random(5);
      for (long long i = 0; i < pixels * c.channels; ++i)
        bytes.data()[i] = static_cast<unsigned char>(random());
      Buffer<unsigned char> flip(c.images);
      for (int i = 0; i < c.images; ++i) flip.data()[i] = i % 2 == 0;
      std::vector<double> expected;
      for (long long p = 0; p < pixels; ++p) {
        const long long image = p / (c.height * c.width), column = p % c.width;
        const long long from = mirror && image % 2 == 0 ? p - column + (c.width - 1 - column) : p;
        for (int ch = 0; ch < c.padded; ++ch)
          expected.push_back(ch < c.channels
                                 ? (bytes.data()[from * c.channels + ch] / 255.0 - double{mean[ch]}) /
                                       double{deviation[ch]}
                                 : 0);
      }
      const k::ImageBatch batch{c.images, c.height, c.width, c.channels, c.padded};
      const auto normalisation = k::Normalisation::of(1.0 / 255, mean, deviation);
      const unsigned char* const flags = mirror ? flip.data() : nullptr;
      for (const auto run : {k::images_to_nhwc_naive<T>, k::images_to_nhwc<T>}) {
        Buffer<T> y(pixels * c.padded, c.skew);
        run(bytes.data(), y.data(), batch, normalisation, flags, {});
        // The coefficients are float, whatever T is.
        CHECK(difference(y.values(), expected) < std::max(tolerance<T>(), tolerance<float>(10)));
      }
    }
}
