// A program may use a copy of stb_image of its own, with other settings, beside the one in kfer/io/image.hpp.
#include <doctest/doctest.h>

#define STBI_NO_GIF
#include <stb/stb_image.h>

#include "kfer/io/image.hpp"
#include "kfer/io/image_write.hpp"

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_WRITE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

TEST_CASE("both copies decode, and the program's has the formats that it asked for") {
  std::vector<std::uint8_t> pixels(5 * 4 * 3);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * 4);
  const auto png = kfer::io::encode_png({4, 5, 3, pixels});
  CHECK(kfer::io::decode_image(png).pixels == pixels);
  int width = 0, height = 0, channels = 0;
  const auto* data = reinterpret_cast<const stbi_uc*>(png.data());
  stbi_uc* own = ::stbi_load_from_memory(data, static_cast<int>(png.size()), &width, &height, &channels, 3);
  REQUIRE(own != nullptr);
  CHECK(std::equal(pixels.begin(), pixels.end(), own));
  ::stbi_image_free(own);

  // A grey 1 x 1 PGM: kfer decodes JPEG and PNG only, the program's copy has the rest.
  const std::string_view pgm("P5 1 1 255\n\x7f", 12);
  CHECK_THROWS_AS(kfer::io::decode_image(kfer::io::as_bytes(pgm)), kfer::FormatError);
  own = ::stbi_load_from_memory(reinterpret_cast<const stbi_uc*>(pgm.data()), 12, &width, &height, &channels,
                                1);
  REQUIRE(own != nullptr);
  CHECK(own[0] == 0x7f);
  ::stbi_image_free(own);
}
