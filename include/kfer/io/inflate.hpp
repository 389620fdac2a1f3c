// Decompression of raw deflate streams (RFC 1951), into memory whose size is known beforehand.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "kfer/core/error.hpp"
#include "kfer/io/bytes.hpp"

namespace kfer::io {

namespace detail {

[[noreturn]] inline void inflate_failed(std::string_view problem) {
  throw FormatError(text("deflate: ", problem));
}

/// The bits of a deflate stream, from the lowest. A value: loops work on a copy, which stays in registers.
struct DeflateBits {
  Bytes in;
  std::size_t at = 0;
  std::uint64_t buffer = 0;
  std::uint32_t held = 0;

  /// At least 48 bits in the buffer; past the end of the input they are zeros, and `drop` counts what was
  /// used.
  void fill() {
    if (at + 8 <= in.size()) [[likely]]
      return fill_word();
    while (held <= 56) {
      if (at < in.size()) buffer |= std::to_integer<std::uint64_t>(in[at]) << held;
      ++at;
      held += 8;
    }
  }
  /// The same where eight bytes are left: what lies above `held` bits is already what comes next.
  void fill_word() {
    buffer |= load_le<std::uint64_t>(in.data() + at) << held;
    at += (63 - held) >> 3;
    held |= 56;
  }
  void drop(std::uint32_t n) {
    drop_unchecked(n);
    if (at > in.size() && (at - in.size()) * 8 > held) [[unlikely]]
      inflate_failed("truncated");
  }
  void drop_unchecked(std::uint32_t n) { buffer >>= n, held -= n; }
  std::uint32_t take(std::uint32_t n) {
    fill();
    const auto value = static_cast<std::uint32_t>(buffer & ((std::uint64_t{1} << n) - 1));
    drop(n);
    return value;
  }
};

class Inflater {
 public:
  Inflater(Bytes in, std::span<std::byte> out) : in_{.in = in}, out_(out) {}

  void run() {
    for (bool last = false; !last;) {
      last = bits(1) != 0;
      switch (bits(2)) {
        case 0:
          stored();
          break;
        case 1:
          fixed();
          break;
        case 2:
          dynamic();
          break;
        default:
          fail("an unknown kind of block");
      }
    }
    if (written_ != out_.size()) fail("the stream ends before the stated size");
  }

 private:
  [[noreturn]] static void fail(std::string_view problem) { inflate_failed(problem); }

  /// A canonical Huffman code: codes up to `fast_bits` long by one look-up, longer ones by counting.
  class Huffman {
   public:
    explicit Huffman(std::span<const std::uint8_t> lengths) {
      for (const auto length : lengths) ++count_[length];
      count_[0] = 0;
      int left = 1;
      for (std::size_t n = 1; n <= 15; ++n) {
        left = 2 * left - count_[n];
        if (left < 0) fail("a Huffman code with more codes than bits allow");
      }
      std::array<std::uint16_t, 16> next{};
      for (std::size_t n = 1; n < 15; ++n) next[n + 1] = static_cast<std::uint16_t>(next[n] + count_[n]);
      std::uint32_t code = 0;
      for (std::size_t n = 1; n <= 15; ++n) {
        first_code_[n] = code;
        first_symbol_[n] = next[n];
        code = (code + count_[n]) << 1;
      }
      symbols_.resize(lengths.size());
      for (std::size_t symbol = 0; symbol < lengths.size(); ++symbol) {
        const auto n = lengths[symbol];
        if (n == 0) continue;
        const auto at = next[n]++;
        symbols_[at] = static_cast<std::uint16_t>(symbol);
        if (n > fast_bits) continue;
        const auto reversed = reverse(first_code_[n] + (at - first_symbol_[n]), n);
        for (auto i = reversed; i < fast_.size(); i += 1u << n)
          fast_[i] = {static_cast<std::uint16_t>(symbol), n};
      }
    }

    struct Entry {
      std::uint16_t symbol = 0;
      std::uint8_t length = 0;
    };
    /// The symbol of the next bits if its code is short; else one of length 0.
    Entry look_up(std::uint64_t bits) const { return fast_[bits & (fast_.size() - 1)]; }

    std::uint32_t decode(DeflateBits& in) const {
      in.fill();
      const auto entry = look_up(in.buffer);
      if (entry.length > 0) return in.drop(entry.length), entry.symbol;
      std::uint32_t code = 0;
      for (std::uint32_t n = 1; n <= 15; ++n) {
        code = code << 1 | (in.buffer >> (n - 1) & 1);
        if (code - first_code_[n] < count_[n]) {
          in.drop(n);
          return symbols_[first_symbol_[n] + (code - first_code_[n])];
        }
      }
      fail("bits that are no Huffman code");
    }

   private:
    static constexpr std::uint32_t fast_bits = 10;
    static std::uint32_t reverse(std::uint32_t code, std::uint32_t n) {
      std::uint32_t out = 0;
      for (; n > 0; --n, code >>= 1) out = out << 1 | (code & 1);
      return out;
    }

    std::array<Entry, 1u << fast_bits> fast_{};
    std::array<std::uint16_t, 16> count_{}, first_symbol_{};
    std::array<std::uint32_t, 16> first_code_{};
    std::vector<std::uint16_t> symbols_;
  };

  std::uint32_t bits(std::uint32_t n) { return in_.take(n); }

  void stored() {
    in_.drop(in_.held % 8);
    const auto length = bits(16), complement = bits(16);
    if ((length ^ 0xffff) != complement) fail("a stored block whose length fails its check");
    const auto start = in_.at - in_.held / 8;
    if (start > in_.in.size() || length > in_.in.size() - start) fail("truncated");
    if (length > out_.size() - written_) fail("more data than stated");
    std::copy_n(in_.in.begin() + static_cast<std::ptrdiff_t>(start), length,
                out_.begin() + static_cast<std::ptrdiff_t>(written_));
    written_ += length;
    in_ = {.in = in_.in, .at = start + length};
  }

  void fixed() {
    static const auto literals = [] {
      std::array<std::uint8_t, 288> lengths;
      for (std::size_t i = 0; i < 288; ++i) lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
      return Huffman(lengths);
    }();
    static const auto distances = [] {
      std::array<std::uint8_t, 30> lengths;
      lengths.fill(5);
      return Huffman(lengths);
    }();
    block(literals, distances);
  }

  void dynamic() {
    constexpr std::uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    const auto literals = bits(5) + 257, distances = bits(5) + 1, codes = bits(4) + 4;
    if (literals > 286 || distances > 30) fail("too many codes");
    std::array<std::uint8_t, 19> code_lengths{};
    for (std::uint32_t i = 0; i < codes; ++i) code_lengths[order[i]] = static_cast<std::uint8_t>(bits(3));
    const Huffman length_code(code_lengths);
    std::array<std::uint8_t, 286 + 30> lengths{};
    for (std::uint32_t i = 0; i < literals + distances;) {
      const auto symbol = length_code.decode(in_);
      if (symbol < 16) {
        lengths[i++] = static_cast<std::uint8_t>(symbol);
        continue;
      }
      if (symbol == 16 && i == 0) fail("a repeated code length without a first one");
      const std::uint8_t value = symbol == 16 ? lengths[i - 1] : std::uint8_t{0};
      const auto repeat = symbol == 16 ? 3 + bits(2) : symbol == 17 ? 3 + bits(3) : 11 + bits(7);
      if (repeat > literals + distances - i) fail("too many code lengths");
      for (std::uint32_t k = 0; k < repeat; ++k) lengths[i++] = value;
    }
    if (lengths[256] == 0) fail("no code for the end of the block");
    block(Huffman(std::span(lengths).first(literals)),
          Huffman(std::span(lengths).subspan(literals, distances)));
  }

  void block(const Huffman& literals, const Huffman& distances) {
    constexpr std::uint16_t length_base[29] = {3,  4,  5,  6,   7,   8,   9,   10,  11, 13,
                                               15, 17, 19, 23,  27,  31,  35,  43,  51, 59,
                                               67, 83, 99, 115, 131, 163, 195, 227, 258};
    constexpr std::uint8_t length_bits[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                              2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    constexpr std::uint16_t distance_base[30] = {
        1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
        193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
    DeflateBits in = in_;
    std::byte* const out = out_.data();
    const std::size_t size = out_.size();
    std::size_t written = written_;
    for (;;) {
      // Runs of literals with short codes, five to a filled buffer, while nothing can run out.
      while (in.at + 8 <= in.in.size() && size - written >= 5) {
        in.fill_word();
        auto entry = literals.look_up(in.buffer);
        int run = 0;
        for (; run < 5 && entry.length > 0 && entry.symbol < 256; ++run) {
          out[written++] = static_cast<std::byte>(entry.symbol);
          in.drop_unchecked(entry.length);
          entry = literals.look_up(in.buffer);
        }
        if (run < 5) break;
      }
      const auto symbol = literals.decode(in);
      if (symbol < 256) {
        if (written == size) fail("more data than stated");
        out[written++] = static_cast<std::byte>(symbol);
        continue;
      }
      if (symbol == 256) break;
      if (symbol > 285) fail("an unknown length");
      const std::size_t length = length_base[symbol - 257] + in.take(length_bits[symbol - 257]);
      const auto code = distances.decode(in);
      if (code > 29) fail("an unknown distance");
      const std::size_t distance = distance_base[code] + in.take(code < 2 ? 0 : code / 2 - 1);
      if (distance > written) fail("a distance past the beginning");
      if (length > size - written) fail("more data than stated");
      for (std::size_t i = 0; i < length; ++i, ++written) out[written] = out[written - distance];
    }
    in_ = in;
    written_ = written;
  }

  DeflateBits in_;
  std::span<std::byte> out_;
  std::size_t written_ = 0;
};

}  // namespace detail

/// Fills `out` from a raw deflate stream. Throws FormatError if the stream is damaged or does not hold
/// exactly that much.
inline void inflate(Bytes deflated, std::span<std::byte> out) {
  detail::Inflater(deflated, out).run();
}

}  // namespace kfer::io
