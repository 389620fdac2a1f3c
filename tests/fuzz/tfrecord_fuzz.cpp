// A TFRecord file without an index: scanned, read, skipped over.
#include "fuzz.hpp"
#include "kfer/io/tfrecord.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kfer::io;
  // Right checksums in place of what stands there, or the fuzzer would have to guess them; odd first bytes
  // leave them.
  std::vector<std::byte> content(fuzz::bytes(data, size).begin(), fuzz::bytes(data, size).end());
  if (size > 0 && data[0] % 2 == 0)
    for (std::size_t at = 0; content.size() - at >= 16;) {
      content[at + 4] = content[at + 5] = content[at + 6] = content[at + 7] = std::byte{0};
      store_le(content.data() + at + 8, masked_crc32c(Bytes(content).subspan(at, 8)));
      const auto length = load_le<std::uint64_t>(content.data() + at);
      if (length > content.size() - at - 16) break;
      const auto payload = Bytes(content).subspan(at + 12, static_cast<std::size_t>(length));
      store_le(content.data() + at + 12 + length, masked_crc32c(payload));
      at += 16 + static_cast<std::size_t>(length);
    }
  const auto path = fuzz::file_with(content, "tfrecord");
  fuzz::run([&] { TfRecordReader(path).for_each([](std::size_t, Bytes) {}); });
  fuzz::run([&] {
    const TfRecordReader reader(path, {.on_corrupt = OnCorrupt::skip});
    std::size_t seen = 0, bytes = 0;
    reader.for_each(
        [&](std::size_t, Bytes record) { ++seen, bytes += record.size() + tfrecord_frame_bytes; });
    fuzz::check(seen <= reader.size() && bytes <= content.size());
    fuzz::check(bytes == content.size() || reader.skipped() > 0);
  });
  return 0;
}
