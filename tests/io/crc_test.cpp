#include <doctest/doctest.h>

#include "io/support.hpp"
#include "kfer/io/crc32c.hpp"

namespace io = kfer::io;

namespace {

std::vector<std::byte> bytes(std::size_t n, int first, int step) {
  std::vector<std::byte> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<std::byte>(first + step * static_cast<int>(i));
  return out;
}

}  // namespace

TEST_CASE("CRC-32C gives the values of RFC 3720, B.4") {
  CHECK(io::crc32c(bytes(32, 0, 0)) == 0x8a9136aau);
  CHECK(io::crc32c(bytes(32, 0xff, 0)) == 0x62a8ab43u);
  CHECK(io::crc32c(bytes(32, 0, 1)) == 0x46dd794eu);
  CHECK(io::crc32c(bytes(32, 31, -1)) == 0x113fdb5cu);
  const auto read10 = std::string_view(
      "\x01\xc0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x14\0\0\0\0\0\x04\0\0\0\0\x14\0\0\0\x18\x28\0\0\0\0\0\0\0\x02\0\0"
      "\0\0\0"
      "\0\0",
      48);  // a SCSI Read(10) command
  CHECK(io::crc32c(io::as_bytes(read10)) == 0xd9963a56u);
  CHECK(io::crc32c(io::as_bytes("123456789")) == 0xe3069283u);
  CHECK(io::crc32c({}) == 0);
}

TEST_CASE("CRC-32 gives the check value of its catalogue entry") {
  CHECK(io::crc32(io::as_bytes("123456789")) == 0xcbf43926u);
  CHECK(io::crc32(io::as_bytes("The quick brown fox jumps over the lazy dog")) == 0x414fa339u);
  CHECK(io::crc32({}) == 0);
}

TEST_CASE("the instruction, the tables and a bit by bit division agree at every length, start and split") {
  const auto data = bytes(97, 5, 29);
  for (std::size_t begin = 0; begin < 9; ++begin)
    for (std::size_t n = 0; n + begin <= data.size(); ++n) {
      const auto part = io::Bytes(data).subspan(begin, n);
      std::uint32_t plain = ~0u;
      for (const auto byte : part) {
        plain ^= std::to_integer<std::uint32_t>(byte);
        for (int bit = 0; bit < 8; ++bit) plain = plain & 1 ? (plain >> 1) ^ 0x82f63b78u : plain >> 1;
      }
      REQUIRE(io::crc32c(part) == ~plain);
      REQUIRE(~io::detail::crc32c_software(~0u, part) == ~plain);
      REQUIRE(io::crc32c(part.subspan(n / 3), io::crc32c(part.first(n / 3))) == ~plain);
    }
}

TEST_CASE("long data, which the instruction takes in thirds, agree with the tables") {
  const auto data = bytes(100003, 7, 131);
  for (const std::size_t n :
       {std::size_t{24575}, std::size_t{24576}, std::size_t{24577}, std::size_t{49160}, data.size()})
    for (const std::size_t begin : {0, 1, 5}) {
      const auto part = io::Bytes(data).subspan(begin, std::min(n, data.size() - begin));
      const auto expected = ~io::detail::crc32c_software(~0u, part);
      REQUIRE(io::crc32c(part) == expected);
      REQUIRE(io::crc32c(part.subspan(777), io::crc32c(part.first(777))) == expected);
    }
}

TEST_CASE(
    "CRC-32 by products and by tables agree with a bit by bit division, at every length, start and split") {
  const auto data = bytes(300, 3, 71);
  for (const std::size_t begin : {0, 1, 7})
    for (std::size_t n = 0; n + begin <= data.size(); ++n) {
      const auto part = io::Bytes(data).subspan(begin, n);
      std::uint32_t plain = ~0u;
      for (const auto byte : part) {
        plain ^= std::to_integer<std::uint32_t>(byte);
        for (int bit = 0; bit < 8; ++bit) plain = plain & 1 ? (plain >> 1) ^ 0xedb88320u : plain >> 1;
      }
      REQUIRE(io::crc32(part) == ~plain);
      REQUIRE(~io::detail::crc_update<0xedb88320u>(~0u, part) == ~plain);
      REQUIRE(io::crc32(part.subspan(n / 3), io::crc32(part.first(n / 3))) == ~plain);
    }
}

TEST_CASE("the mask is TFRecord's") {
  CHECK(io::mask_crc(0) == 0xa282ead8u);
  CHECK(io::mask_crc(0x8a9136aau) == 0x0fd7fffau);
}
