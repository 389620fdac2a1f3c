#include "kfer/io/tfrecord.hpp"

#include <doctest/doctest.h>

#include "io/support.hpp"

namespace io = kfer::io;
using kfer::FormatError;
using test::TemporaryDirectory;
using test::throws_with;

namespace {

std::vector<std::byte> payload(std::size_t n, unsigned seed) {
  std::vector<std::byte> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<std::byte>((i * 131 + seed * 17 + 3) & 255);
  return out;
}

}  // namespace

TEST_CASE("records written are read back, with and without the index") {
  const TemporaryDirectory dir;
  const auto path = dir / "a.tfrecords", index = dir / "a.idx";
  const std::size_t sizes[] = {0, 1, 7, 8, 64, 4099};
  {
    io::TfRecordWriter writer(path, index);
    for (const auto n : sizes) writer.write(payload(n, static_cast<unsigned>(n)));
    writer.close();
  }
  CHECK(io::read_text(index) == "0 16\n16 17\n33 23\n56 24\n80 80\n160 4115\n");
  for (const std::string& with : {std::string(), index}) {
    const io::TfRecordReader reader(path, {.index_path = with});
    REQUIRE(reader.size() == std::size(sizes));
    for (std::size_t i = std::size(sizes); i-- > 0;)
      CHECK(reader.read(i) == payload(sizes[i], static_cast<unsigned>(sizes[i])));
    CHECK_THROWS_AS(reader.read(reader.size()), kfer::ValueError);
  }
}
