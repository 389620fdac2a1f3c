// Baseline JPEG, as nearly all photographs are stored, decoded in half of stb_image's time and to its very
// bits: the same integer cosine transform, upsampling and colour conversion, on vectors; a bit buffer of 64
// bits; Huffman tables that outlive a picture, since the pictures of a data set share them. What is not
// regular (progressive, restart intervals, unusual sampling, Adobe's segment, damage of any kind) is left to
// stb_image.
// ITU-T T.81; section numbers below are its.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kfer/core/simd.hpp"
#include "kfer/io/bytes.hpp"

namespace kfer::io::detail {

/// A Huffman code of a JPEG, with what it is followed by: `size` bits of a coefficient.
class JpegHuffman {
 public:
  /// What the next bits say: a whole coefficient (value != 0), or only its symbol.
  struct Entry {
    std::int16_t value = 0;
    std::uint8_t symbol = 0;  ///< zeros before the coefficient in the upper half, its size in bits below
    std::uint8_t bits = 0;    ///< to be dropped; 0: a code longer than `fast_bits`
  };
  static constexpr unsigned fast_bits = 10;

  /// Takes the table of a DHT segment: 16 counts and the symbols (B.2.4.2). False if it is none. The same
  /// bytes again cost a comparison.
  bool set(Bytes spec) {
    if (spec.size() == spec_.size() && std::equal(spec.begin(), spec.end(), spec_.begin())) return true;
    spec_.clear();
    fast_ = {};
    const auto byte = [&](std::size_t i) { return std::to_integer<unsigned>(spec[i]); };
    unsigned code = 0, index = 0;
    for (unsigned n = 1; n <= 16; ++n) {
      code <<= 1;
      const unsigned count = byte(n - 1);
      if (code + count > 1u << n || index + count > 256 || 16 + index + count > spec.size()) return false;
      first_code_[n] = code, first_index_[n] = index, count_[n] = count;
      for (unsigned k = 0; k < count; ++k, ++code, ++index) {
        symbols_[index] = static_cast<std::uint8_t>(byte(16 + index));
        if (n <= fast_bits) fill(code, n, symbols_[index]);
      }
    }
    spec_.assign(spec.begin(), spec.end());
    return true;
  }

  const Entry& look_up(std::uint64_t buffer) const { return fast_[buffer >> (64 - fast_bits)]; }

  /// The entry, without a value, of a code longer than `fast_bits`; of no bits if there is no such code.
  Entry look_up_long(std::uint64_t buffer) const {
    for (unsigned n = fast_bits + 1; n <= 16; ++n) {
      const auto offset = static_cast<unsigned>(buffer >> (64 - n)) - first_code_[n];
      if (offset < count_[n]) return {0, symbols_[first_index_[n] + offset], static_cast<std::uint8_t>(n)};
    }
    return {};
  }

  /// The number of `size` > 0 bits at the top of `buffer` (F.2.2.1, EXTEND).
  static int extend(std::uint64_t buffer, unsigned size) {
    const int bits = static_cast<int>(buffer >> (64 - size));
    return bits >> (size - 1) ? bits : bits - (1 << size) + 1;
  }

 private:
  void fill(unsigned code, unsigned length, std::uint8_t symbol) {
    const unsigned spare = fast_bits - length, size = symbol & 15u;
    for (unsigned rest = 0; rest < 1u << spare; ++rest) {
      const unsigned index = code << spare | rest;
      Entry entry{0, symbol, static_cast<std::uint8_t>(length)};
      if (size > 0 && size <= spare) {
        entry.value =
            static_cast<std::int16_t>(extend(std::uint64_t{index} << (64 - fast_bits) << length, size));
        entry.bits = static_cast<std::uint8_t>(length + size);
      }
      fast_[index] = entry;
    }
  }

  std::array<Entry, 1u << fast_bits> fast_{};
  std::array<unsigned, 17> first_code_{}, first_index_{}, count_{};
  std::array<std::uint8_t, 256> symbols_{};
  std::vector<std::byte> spec_;
};

/// Lanes of one 8 x 8 block: row i, or, transposed, column i.
using JpegLanes = simd_i32<8>;
using JpegBlock = std::array<JpegLanes, 8>;

/// Rows to columns: three perfect shuffles of the 64 numbers.
[[gnu::always_inline]] inline void transpose(JpegBlock& m) {
  for (int pass = 0; pass < 3; ++pass) {
    JpegBlock out;
    for (std::size_t i = 0; i < 4; ++i) {
      out[2 * i] = __builtin_shufflevector(m[i], m[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
      out[2 * i + 1] = __builtin_shufflevector(m[i], m[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
    }
    m = out;
  }
}

/// One dimension of the inverse cosine transform, of the eight lanes at once: Loeffler, Ligtenberg and
/// Moschytz (ICASSP 1989) in fixed point, 12 bits behind the point; adds `bias` and drops `shift` bits.
[[gnu::always_inline]] inline void inverse_cosine(JpegBlock& s, std::int32_t bias, int shift) {
  constexpr auto fixed = [](double x) { return static_cast<std::int32_t>(x * 4096 + 0.5); };
  constexpr std::int32_t r6 = fixed(0.5411961), a = fixed(-1.847759065), b = fixed(0.765366865),
                         c = fixed(1.175875602), d0 = fixed(0.298631336), d1 = fixed(2.053119869),
                         d2 = fixed(3.072711026), d3 = fixed(1.501321110), e1 = fixed(-0.899976223),
                         e2 = fixed(-2.562915447), e3 = fixed(-1.961570560), e4 = fixed(-0.390180644);
  const JpegLanes rotated = (s[2] + s[6]) * r6;
  const JpegLanes even2 = rotated + s[6] * a, even3 = rotated + s[2] * b;
  const JpegLanes even0 = (s[0] + s[4]) * 4096 + bias, even1 = (s[0] - s[4]) * 4096 + bias;
  const JpegLanes x0 = even0 + even3, x3 = even0 - even3, x1 = even1 + even2, x2 = even1 - even2;
  const JpegLanes sum73 = s[7] + s[3], sum51 = s[5] + s[1];
  const JpegLanes p5 = (sum73 + sum51) * c;
  const JpegLanes p1 = p5 + (s[7] + s[1]) * e1, p2 = p5 + (s[5] + s[3]) * e2;
  const JpegLanes p3 = sum73 * e3, p4 = sum51 * e4;
  const JpegLanes t3 = s[1] * d3 + p1 + p4, t2 = s[3] * d2 + p2 + p3, t1 = s[5] * d1 + p2 + p4,
                  t0 = s[7] * d0 + p1 + p3;
  s[0] = (x0 + t3) >> shift, s[7] = (x0 - t3) >> shift;
  s[1] = (x1 + t2) >> shift, s[6] = (x1 - t2) >> shift;
  s[2] = (x2 + t1) >> shift, s[5] = (x2 - t1) >> shift;
  s[3] = (x3 + t0) >> shift, s[4] = (x3 - t0) >> shift;
}

/// Whether a lane of `m` lies outside of [-limit, limit), a power of two.
[[gnu::always_inline]] inline bool any_beyond(const JpegBlock& m, std::int32_t limit) {
  JpegLanes bits{};
  for (const auto& row : m) bits |= (row + limit) & ~(2 * limit - 1);
  bool any = false;
  for (int i = 0; i < 8; ++i) any |= bits[i] != 0;
  return any;
}

/// The bits of a scan, from the highest: those in the buffer, then those from `next` on. A value: a block
/// works on a copy, which stays in registers.
struct JpegBits {
  const std::byte* next = nullptr;
  std::uint64_t buffer = 0;
  unsigned held = 0;

  void fill() {  // to 56 bits at least; what lies below `held` bits is already what comes next
    buffer |= __builtin_bswap64(load_le<std::uint64_t>(next)) >> held;
    next += (63 - held) >> 3;
    held |= 56;
  }
  void drop(unsigned n) { buffer <<= n, held -= n; }
  std::size_t used(const std::byte* begin) const { return static_cast<std::size_t>(next - begin) * 8 - held; }
};

/// Decodes pictures; keeps its tables and memory from one to the next.
class BaselineJpeg {
 public:
  /// Decodes `file`, which `check_jpeg` has passed and found to be of `size`, to interleaved RGB. False, with
  /// `rgb` in any state, if there is anything about the file that is not regular.
  bool decode(Bytes file, int height, int width, std::uint8_t* rgb) {
    height_ = height, width_ = width;
    const bool done = parse(file) && decode_scan() && (write_rgb(rgb), true);
    if (planes_.capacity() + scan_.capacity() > kept_bytes) planes_ = {}, scan_ = {};
    return done;
  }

 private:
  static constexpr std::size_t kept_bytes = 1 << 20;
  /// Coefficients and half-transformed samples of real pictures lie well inside; within these limits the sums
  /// of the transform fit 32 bits, and stb_image's shorter lanes hold them too.
  static constexpr std::int32_t coefficient_limit = 4096, sample_limit = 16384;
  /// Bytes after the scan's that are zeros: a block reads less than this ahead.
  static constexpr std::size_t scan_slack = 512;

  using Quantisers = std::array<std::int32_t, 64>;  ///< in zigzag order, as coefficients come
  struct Component {
    unsigned id = 0, table = 0, dc = 0, ac = 0;
    int h = 1, v = 1;
    int stride = 0, rows = 0;  ///< of its plane, in whole blocks; `rows` of them hold picture
    std::size_t plane = 0;     ///< its offset in planes_
    int last_dc = 0;
  };

  static unsigned byte(Bytes bytes, std::size_t i) { return std::to_integer<unsigned>(bytes[i]); }

  bool parse(Bytes file) {
    components_ = 0;
    has_table_ = {}, has_huffman_ = {};
    for (std::size_t at = 2;;) {
      if (at >= file.size() || byte(file, at) != 0xff) return false;
      while (at < file.size() && byte(file, at) == 0xff) ++at;
      if (file.size() - at < 3) return false;
      const unsigned marker = byte(file, at);
      const std::size_t length = byte(file, at + 1) << 8 | byte(file, at + 2);
      if (length < 2 || length > file.size() - at - 1) return false;
      const auto segment = file.subspan(at + 3, length - 2);
      at += 1 + length;
      bool known = false;
      if (marker == 0xc0 || marker == 0xc1)
        known = frame_header(segment);
      else if (marker == 0xc4)
        known = huffman_tables(segment);
      else if (marker == 0xdb)
        known = quantisers(segment);
      else if (marker == 0xda)
        return scan_header(segment) && take_scan(file.subspan(at));
      else  // applications' segments but Adobe's, and comments
        known = (marker >= 0xe0 && marker <= 0xed) || marker == 0xef || marker == 0xfe;
      if (!known) return false;
    }
  }

  bool quantisers(Bytes segment) {
    for (; !segment.empty(); segment = segment.subspan(65)) {
      const unsigned id = byte(segment, 0);
      if (id > 3 || segment.size() < 65) return false;  // or of 16 bits
      for (std::size_t i = 0; i < 64; ++i)
        quantisers_[id][i] = static_cast<std::int32_t>(byte(segment, i + 1));
      has_table_[id] = true;
    }
    return true;
  }

  bool huffman_tables(Bytes segment) {
    while (!segment.empty()) {
      if (segment.size() < 17) return false;
      const unsigned kind = byte(segment, 0), id = (kind >> 4) * 4 + (kind & 15);
      std::size_t symbols = 0;
      for (std::size_t i = 1; i <= 16; ++i) symbols += byte(segment, i);
      if ((kind >> 4) > 1 || (kind & 15) > 3 || symbols > segment.size() - 17) return false;
      if (!huffman_[id].set(segment.subspan(1, 16 + symbols))) return false;
      has_huffman_[id] = true;
      segment = segment.subspan(17 + symbols);
    }
    return true;
  }

  bool frame_header(Bytes segment) {
    if (components_ != 0 || segment.size() < 6 || byte(segment, 0) != 8) return false;
    const std::size_t n = byte(segment, 5);
    if ((n != 1 && n != 3) || segment.size() != 6 + 3 * n) return false;
    const bool named_rgb =
        n == 3 && byte(segment, 6) == 'R' && byte(segment, 9) == 'G' && byte(segment, 12) == 'B';
    if (named_rgb) return false;
    std::size_t total = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const unsigned sampling = byte(segment, 7 + 3 * i);
      auto& c = component_[i] = {.id = byte(segment, 6 + 3 * i), .table = byte(segment, 8 + 3 * i)};
      c.h = static_cast<int>(sampling >> 4), c.v = static_cast<int>(sampling & 15);
      const int most = i == 0 && n == 3 ? 2 : 1;
      if (c.h < 1 || c.h > most || c.v < 1 || c.v > most || c.table > 3) return false;
    }
    const auto& y = component_[0];
    mcus_x_ = (width_ + 8 * y.h - 1) / (8 * y.h), mcus_y_ = (height_ + 8 * y.v - 1) / (8 * y.v);
    for (std::size_t i = 0; i < n; ++i) {
      auto& c = component_[i];
      c.stride = mcus_x_ * c.h * 8;
      c.rows = (height_ * c.v + y.v - 1) / y.v;
      c.plane = total;
      total += static_cast<std::size_t>(c.stride) * static_cast<std::size_t>(mcus_y_ * c.v * 8);
    }
    planes_.resize(total);
    components_ = n;
    return true;
  }

  /// One scan of all components in the frame's order, which baseline files consist of.
  bool scan_header(Bytes segment) {
    const std::size_t n = components_;
    if (n == 0 || segment.size() != 4 + 2 * n || byte(segment, 0) != n) return false;
    for (std::size_t i = 0; i < n; ++i) {
      auto& c = component_[i];
      const unsigned tables = byte(segment, 2 + 2 * i);
      c.dc = tables >> 4, c.ac = 4 + (tables & 15);
      if (byte(segment, 1 + 2 * i) != c.id || c.dc > 3 || c.ac > 7) return false;
      if (!has_huffman_[c.dc] || !has_huffman_[c.ac] || !has_table_[c.table]) return false;
    }
    return byte(segment, 1 + 2 * n) == 0 && byte(segment, 3 + 2 * n) == 0;
  }

  /// Copies the scan's bytes without the zeros that follow each 0xff. False unless the picture ends after it.
  bool take_scan(Bytes rest) {
    scan_.resize(rest.size() + scan_slack);
    std::byte* to = scan_.data();
    for (;;) {
      const auto* mark = static_cast<const std::byte*>(std::memchr(rest.data(), 0xff, rest.size()));
      if (mark == nullptr || mark + 1 == rest.data() + rest.size()) return false;
      const auto n = static_cast<std::size_t>(mark - rest.data());
      std::memcpy(to, rest.data(), n);
      to += n;
      if (mark[1] == std::byte{0xd9}) break;
      if (mark[1] != std::byte{0}) return false;
      *to++ = std::byte{0xff};
      rest = rest.subspan(n + 2);
    }
    scan_bytes_ = static_cast<std::size_t>(to - scan_.data());
    std::memset(to, 0, scan_slack);
    return true;
  }

  bool decode_scan() {
    bits_ = {.next = scan_.data()};
    for (int my = 0; my < mcus_y_; ++my)
      for (int mx = 0; mx < mcus_x_; ++mx)
        for (std::size_t i = 0; i < components_; ++i) {
          auto& c = component_[i];
          for (int y = my * c.v; y < (my + 1) * c.v; ++y)
            for (int x = mx * c.h; x < (mx + 1) * c.h; ++x)
              if (!decode_block(c, planes_.data() + c.plane +
                                       (static_cast<std::size_t>(y) * static_cast<std::size_t>(c.stride) +
                                        static_cast<std::size_t>(x)) *
                                           8))
                return false;
        }
    // Only the padding of the last byte is left.
    return bits_.used(scan_.data()) + 8 > scan_bytes_ * 8;
  }

  /// The coefficients of one block (F.2.2), transformed into its place in the plane.
  bool decode_block(Component& c, std::uint8_t* out) {
    const auto& quantisers = quantisers_[c.table];
    JpegBits in = bits_;
    in.fill();
    auto entry = huffman_[c.dc].look_up(in.buffer);
    if (entry.bits == 0) entry = huffman_[c.dc].look_up_long(in.buffer);
    if (entry.bits == 0 || entry.symbol > 11) return false;
    in.drop(entry.bits);
    int difference = entry.value;
    if (difference == 0 && entry.symbol != 0) {
      difference = JpegHuffman::extend(in.buffer, entry.symbol);
      in.drop(entry.symbol);
    }
    c.last_dc += difference;
    if (c.last_dc < -coefficient_limit || c.last_dc >= coefficient_limit) return false;
    const std::int32_t dc = c.last_dc * quantisers[0];

    alignas(64) std::int32_t coefficients[64];
    bool flat = true;
    const auto& ac = huffman_[c.ac];
    for (unsigned k = 1; k < 64;) {
      if (in.held < 32) in.fill();
      entry = ac.look_up(in.buffer);
      int value = entry.value;
      unsigned run = entry.symbol >> 4;
      if (value != 0) [[likely]] {
        in.drop(entry.bits);
      } else {
        if (entry.bits == 0) entry = ac.look_up_long(in.buffer);
        if (entry.bits == 0) return false;
        in.drop(entry.bits);
        const unsigned size = entry.symbol & 15;
        run = entry.symbol >> 4;
        if (size == 0) {
          if (run != 15) break;  // the rest is zeros
          k += 16;
          continue;
        }
        if (size > 10) return false;
        value = JpegHuffman::extend(in.buffer, size);
        in.drop(size);
      }
      k += run;
      if (k > 63) return false;
      if (flat) std::memset(coefficients, 0, sizeof coefficients), flat = false;
      coefficients[natural_order[k]] = value * quantisers[k];
      ++k;
    }
    if (in.used(scan_.data()) > scan_bytes_ * 8) return false;
    bits_ = in;
    const auto stride = static_cast<std::size_t>(c.stride);
    if (flat) {
      if (dc < -coefficient_limit || dc >= coefficient_limit) return false;
      const auto grey = static_cast<std::uint8_t>(std::clamp(((dc + 4) >> 3) + 128, 0, 255));
      for (std::size_t y = 0; y < 8; ++y) std::memset(out + y * stride, grey, 8);
      return true;
    }
    coefficients[0] = dc;
    return inverse_transform(coefficients, out, stride);
  }

  static bool inverse_transform(const std::int32_t* coefficients, std::uint8_t* out, std::size_t stride) {
    JpegBlock m;
    std::memcpy(&m, coefficients, sizeof m);
    if (any_beyond(m, coefficient_limit)) return false;
    inverse_cosine(m, 512, 10);  // columns, two bits more than the result's
    if (any_beyond(m, sample_limit)) return false;
    transpose(m);
    inverse_cosine(m, 65536 + (128 << 17), 17);  // rows, rounded, around 128
    transpose(m);
    using Row [[gnu::vector_size(8)]] = std::uint8_t;
    for (std::size_t y = 0; y < 8; ++y) {
      JpegLanes v = m[y] > 0 ? m[y] : JpegLanes{};
      v = v < 255 ? v : JpegLanes{} + 255;
      const Row row = __builtin_convertvector(v, Row);
      std::memcpy(out + y * stride, &row, sizeof row);
    }
    return true;
  }

  void write_rgb(std::uint8_t* rgb) {
    const auto width = static_cast<std::size_t>(width_);
    const bool grey = components_ == 1;
    const auto row_of = [&](const Component& c, int y) {
      return planes_.data() + c.plane + static_cast<std::size_t>(y) * static_cast<std::size_t>(c.stride);
    };
    line_.resize(grey ? 0 : 2 * (width + 2));
    for (int y = 0; y < height_; ++y, rgb += 3 * width) {
      const std::uint8_t* luma = row_of(component_[0], y);
      if (grey) {
        for (std::size_t x = 0; x < width; ++x) rgb[3 * x] = rgb[3 * x + 1] = rgb[3 * x + 2] = luma[x];
        continue;
      }
      const std::uint8_t* chroma[2];
      for (std::size_t i = 0; i < 2; ++i) {
        const auto& c = component_[i + 1];
        const int h = component_[0].h, v = component_[0].v;
        const int near = y / v;
        const int far = v == 1 ? near : std::clamp(y % 2 ? near + 1 : near - 1, 0, c.rows - 1);
        chroma[i] = upsample(row_of(c, near), row_of(c, far), h, v, line_.data() + i * (width + 2));
      }
      to_rgb(luma, chroma[0], chroma[1], width, rgb);
    }
  }

  /// A row of a colour plane at full width: between samples 3 : 1, of the nearer row and the farther.
  const std::uint8_t* upsample(const std::uint8_t* near, const std::uint8_t* far, int h, int v,
                               std::uint8_t* out) const {
    const auto n = static_cast<std::size_t>((width_ + h - 1) / h);
    if (h == 1 && v == 1) return near;
    const auto to_byte = [](int x) { return static_cast<std::uint8_t>(x); };
    if (h == 1) {
      for (std::size_t i = 0; i < n; ++i) out[i] = to_byte((3 * near[i] + far[i] + 2) >> 2);
      return out;
    }
    const int shift = v == 1 ? 2 : 4, half = v == 1 ? 2 : 8, one = v == 1 ? 1 : 4;
    const auto blend = [&](std::size_t i) { return v == 1 ? int{near[i]} : 3 * near[i] + far[i]; };
    out[0] = to_byte((blend(0) + one / 2) / one);
    for (std::size_t i = 1; i < n; ++i) {
      const int left = blend(i - 1), right = blend(i);
      out[2 * i - 1] = to_byte((3 * left + right + half) >> shift);
      out[2 * i] = to_byte((3 * right + left + half) >> shift);
    }
    if (v == 1 && n > 1) out[2 * n - 2] = out[2 * n - 3];  // stb_image has it so
    out[2 * n - 1] = to_byte((blend(n - 1) + one / 2) / one);
    return out;
  }

  /// JFIF's colour conversion with 12 bits behind the point, of which the blue part of green keeps fewer, as
  /// in stb_image's vectors.
  static void to_rgb(const std::uint8_t* luma, const std::uint8_t* blue, const std::uint8_t* red,
                     std::size_t n, std::uint8_t* __restrict rgb) {
    constexpr auto fixed = [](float x) { return static_cast<std::int32_t>(x * 4096.f + 0.5f) << 8; };
    const auto clamp = [](std::int32_t x) {
      return static_cast<std::uint8_t>(std::min(std::max(x >> 20, 0), 255));
    };
    for (std::size_t i = 0; i < n; ++i) {
      const std::int32_t y = (luma[i] << 20) + (1 << 19), cb = blue[i] - 128, cr = red[i] - 128;
      rgb[3 * i] = clamp(y + cr * fixed(1.402f));
      rgb[3 * i + 1] =
          clamp(y - cr * fixed(0.71414f) +
                static_cast<std::int32_t>(static_cast<std::uint32_t>(cb * -fixed(0.34414f)) & 0xffff0000u));
      rgb[3 * i + 2] = clamp(y + cb * fixed(1.772f));
    }
  }

  /// Where the k-th coefficient of a scan lies in its block (figure A.6).
  static constexpr std::array<std::uint8_t, 64> natural_order = [] {
    std::array<std::uint8_t, 64> order{};
    int x = 0, y = 0;
    for (std::size_t k = 0; k < 64; ++k) {
      order[k] = static_cast<std::uint8_t>(8 * y + x);
      const bool up = (x + y) % 2 == 0;
      if (up ? x == 7 : y == 7)
        (up ? y : x) += 1;
      else if (up ? y == 0 : x == 0)
        (up ? x : y) += 1;
      else
        x += up ? 1 : -1, y -= up ? 1 : -1;
    }
    return order;
  }();

  int height_ = 0, width_ = 0, mcus_x_ = 0, mcus_y_ = 0;
  std::size_t components_ = 0;  ///< 0: no frame header yet
  std::array<Component, 3> component_;
  std::array<Quantisers, 4> quantisers_{};
  std::array<bool, 4> has_table_{};
  std::array<JpegHuffman, 8> huffman_;  ///< four of DC differences, four of AC coefficients
  std::array<bool, 8> has_huffman_{};
  std::vector<std::byte> scan_;
  std::size_t scan_bytes_ = 0;
  std::vector<std::uint8_t> planes_, line_;

  JpegBits bits_;
};

}  // namespace kfer::io::detail
