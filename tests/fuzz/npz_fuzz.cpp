// npy, npz and raw deflate, chosen by the first byte.
#include "fuzz.hpp"
#include "kfer/io/npz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kfer::io;
  const auto content = fuzz::bytes(data, size);
  fuzz::run([&] {
    const auto array = parse_npy(content);
    fuzz::check(encode_npy(array).size() >= array.data.size());
  });
  fuzz::run([&] { parse_npz(content, "npz", 1 << 20); });
  if (size > 2)
    fuzz::run([&] {
      std::vector<std::byte> out(data[0] + 256 * (data[1] % 64));
      inflate(content.subspan(2), out);
    });
  return 0;
}
