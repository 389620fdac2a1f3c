// JPEG and PNG, and the Exif notes in them: nothing crashes, and what kfer's own decoders take they decode to
// stb_image's pixels.
#include "fuzz.hpp"
#include "kfer/io/exif.hpp"
#include "kfer/io/image.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kfer::io;
  // A PNG's checksums are made right, or the fuzzer would have to guess them.
  std::vector<std::byte> content(fuzz::bytes(data, size).begin(), fuzz::bytes(data, size).end());
  if (as_text(content).starts_with(png_magic))
    for (std::size_t at = 8; content.size() - at >= 12;) {
      const std::size_t length = detail::load_be(content, at, 4);
      if (length > content.size() - at - 12) break;
      const auto crc = crc32(Bytes(content).subspan(at + 4, length + 4));
      for (std::size_t i = 0; i < 4; ++i)
        content[at + 8 + length + i] = static_cast<std::byte>(crc >> (24 - 8 * i) & 255);
      at += 12 + length;
    }
  const int orientation = exif_orientation(content);
  fuzz::check(orientation >= 1 && orientation <= 8);
  fuzz::run([&] {
    const auto image = decode_image(content, {.max_pixels = 1 << 16});
    fuzz::check(image.pixels.size() == static_cast<std::size_t>(image.height) * image.width * 3);
    const auto turned = upright(image, orientation);
    fuzz::check(turned.pixels.size() == image.pixels.size());
    fuzz::check((orientation >= 5) == (turned.height == image.width && turned.width == image.height) ||
                image.height == image.width);
    std::vector<std::uint8_t> stb(image.pixels.size());
    detail::decode_by_stb(content, {image.height, image.width}, stb);
    fuzz::check(image.pixels == stb);
  });
  return 0;
}
