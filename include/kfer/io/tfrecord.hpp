// TFRecord files: length-prefixed records with masked CRC-32C checksums, and the text index that DALI writes
// beside.
//
//   uint64 length | uint32 masked CRC-32C of the length | data | uint32 masked CRC-32C of the data
//   (little-endian) index: one line a record, "offset size", size being that of the whole frame (data + 16).
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kfer/io/crc32c.hpp"
#include "kfer/io/file.hpp"

namespace kfer::io {

/// What a reader does with a record that fails its checks: throw FormatError, or leave it out and count it.
enum class OnCorrupt { fail, skip };

/// One frame of a TFRecord file.
struct TfRecordSpan {
  std::uint64_t offset = 0;  ///< of the frame's first byte
  std::uint64_t size = 0;    ///< of the frame: data + 16
  friend bool operator==(const TfRecordSpan&, const TfRecordSpan&) = default;
};

inline constexpr std::size_t tfrecord_header_bytes = 12, tfrecord_frame_bytes = 16;

/// Parses a DALI index. Throws FormatError naming the line unless the frames lie one after the other from
/// byte 0. `name` is what messages call it.
inline std::vector<TfRecordSpan> parse_tfrecord_index(std::string_view content, std::string_view name) {
  std::vector<TfRecordSpan> spans;
  std::uint64_t next = 0;
  for (std::size_t line = 1; !content.empty(); ++line) {
    const auto end = content.find('\n');
    auto row = content.substr(0, end);
    content.remove_prefix(end == std::string_view::npos ? content.size() : end + 1);
    if (row.ends_with('\r')) row.remove_suffix(1);
    TfRecordSpan span;
    const char *p = row.data(), *const stop = p + row.size();
    const auto first = std::from_chars(p, stop, span.offset);
    bool ok = first.ec == std::errc{} && first.ptr < stop && *first.ptr == ' ';
    if (ok) {
      const auto second = std::from_chars(first.ptr + 1, stop, span.size);
      ok = second.ec == std::errc{} && second.ptr == stop;
    }
    require<FormatError>(ok, "'", name, "', line ", line, ": expected 'offset size', got '",
                         row.substr(0, 60), "'");
    require<FormatError>(span.offset == next, "'", name, "', line ", line,
                         ": the record before ends at byte ", next, ", got offset ", span.offset);
    require<FormatError>(span.size >= tfrecord_frame_bytes && span.size <= (std::uint64_t{1} << 62) - next,
                         "'", name, "', line ", line, ": ", span.size, " is no size of a record");
    next += span.size;
    spans.push_back(span);
  }
  return spans;
}

struct TfRecordOptions {
  std::string index_path = {};  ///< DALI index; empty: the file is scanned once, headers only
  std::uint64_t max_record_bytes = 64ull << 20;  ///< longer records are refused before anything is allocated
  OnCorrupt on_corrupt = OnCorrupt::fail;
};

/// Random access to the records of a TFRecord file; every read checks both checksums. Reads are thread-safe.
///
/// Records keep their numbers whatever happens to their neighbours, so record i stays row i of a label file:
/// - A record whose data fails its checksum is bad alone; the next is found by its length.
/// - A record whose length fails is bad alone if there is an index. Without one nothing tells where the next
/// begins:
///   with OnCorrupt::skip the rest of the file is left out and counts as one, with OnCorrupt::fail opening
///   throws.
class TfRecordReader {
 public:
  /// Throws IoError (missing file), FormatError (an index that does not fit the file; OnCorrupt::fail: a bad
  /// header).
  explicit TfRecordReader(std::string path, TfRecordOptions options = {})
      : file_(std::move(path)),
        file_size_(file_.size()),
        options_(std::move(options)),
        state_(std::make_unique<State>()) {
    if (options_.index_path.empty())
      scan();
    else
      load_index();
  }

  const std::string& path() const { return file_.path(); }
  /// Number of records, bad ones included where they have a number.
  std::size_t size() const { return spans_.size(); }
  const std::vector<TfRecordSpan>& spans() const { return spans_; }

  /// The data of record `i`. Throws FormatError naming file, record, byte offset and the check that failed;
  /// ValueError if there is no record `i`.
  std::vector<std::byte> read(std::size_t i) const {
    std::vector<std::byte> data;
    if (auto problem = load(i, data)) throw FormatError(*problem);
    return data;
  }

  /// Puts the data of record `i` into `data` (its memory is reused). False if the record is bad and
  /// OnCorrupt::skip was asked for: it is then counted; with OnCorrupt::fail a bad record throws as `read`
  /// does.
  bool try_read(std::size_t i, std::vector<std::byte>& data) const {
    auto problem = load(i, data);
    if (!problem) return true;
    if (options_.on_corrupt == OnCorrupt::fail) throw FormatError(*problem);
    note(i, std::move(*problem));
    return false;
  }

  /// Calls `visit(i, Bytes)` for each record in order, under the reader's OnCorrupt.
  template <class Visit>
  void for_each(Visit&& visit) const {
    std::vector<std::byte> data;
    for (std::size_t i = 0; i < size(); ++i)
      if (try_read(i, data)) visit(i, Bytes(data));
  }

  /// Distinct records left out so far; an unreadable rest of the file counts as one.
  std::size_t skipped() const {
    const std::lock_guard lock(state_->mutex);
    return state_->bad.size();
  }
  /// The messages of the first hundred of them.
  std::vector<std::string> problems() const {
    const std::lock_guard lock(state_->mutex);
    return state_->problems;
  }

 private:
  struct State {
    std::mutex mutex;
    std::set<std::size_t> bad;
    std::vector<std::string> problems;
  };

  template <class... Parts>
  std::string describe(std::size_t i, std::uint64_t offset, const Parts&... parts) const {
    return text("'", path(), "', record ", i, " at byte ", offset, ": ", parts...);
  }

  void note(std::size_t i, std::string problem) const {
    const std::lock_guard lock(state_->mutex);
    if (state_->bad.insert(i).second && state_->problems.size() < 100)
      state_->problems.push_back(std::move(problem));
  }

  /// What is wrong with a header, if anything; `length` is set if the checksum holds.
  std::optional<std::string> check_header(std::size_t i, std::uint64_t offset, const std::byte* header,
                                          std::uint64_t& length) const {
    const auto stored = load_le<std::uint32_t>(header + 8);
    const auto computed = masked_crc32c(Bytes(header, 8));
    if (stored != computed)
      return describe(i, offset, "the length's CRC is wrong (stored ", stored, ", computed ", computed, ")");
    length = load_le<std::uint64_t>(header);
    if (length > options_.max_record_bytes)
      return describe(i, offset, "a length of ", length, " bytes, at most ", options_.max_record_bytes,
                      " are allowed");
    return std::nullopt;
  }

  void scan() {
    for (std::uint64_t offset = 0; offset < file_size_;) {
      const std::size_t i = spans_.size();
      const std::uint64_t rest = file_size_ - offset;
      std::optional<std::string> problem;
      std::uint64_t length = 0;
      if (rest < tfrecord_header_bytes) {
        problem = describe(i, offset, "truncated header (", rest, " of 12 bytes)");
      } else {
        std::byte header[tfrecord_header_bytes];
        file_.read(offset, header);
        problem = check_header(i, offset, header, length);
        if (!problem) problem = check_extent(i, offset, length, rest);
      }
      if (problem) {
        if (options_.on_corrupt == OnCorrupt::fail) throw FormatError(*problem);
        return note(i, std::move(*problem));
      }
      spans_.push_back({offset, length + tfrecord_frame_bytes});
      offset += length + tfrecord_frame_bytes;
    }
  }

  std::optional<std::string> check_extent(std::size_t i, std::uint64_t offset, std::uint64_t length,
                                          std::uint64_t rest) const {
    if (rest >= tfrecord_frame_bytes && rest - tfrecord_frame_bytes >= length) return std::nullopt;
    const auto have = rest - tfrecord_header_bytes;
    if (have < length) return describe(i, offset, "truncated data (", have, " of ", length, " bytes)");
    return describe(i, offset, "truncated footer (", have - length, " of 4 bytes)");
  }

  void load_index() {
    spans_ = parse_tfrecord_index(read_text(options_.index_path), options_.index_path);
    const auto covered = spans_.empty() ? 0 : spans_.back().offset + spans_.back().size;
    const bool fits =
        covered == file_size_ || (covered > file_size_ && options_.on_corrupt == OnCorrupt::skip);
    require<FormatError>(fits, "'", options_.index_path, "' describes ", covered, " bytes, but '", path(),
                         "' holds ", file_size_, ": truncated, or an index of another file");
  }

  std::optional<std::string> load(std::size_t i, std::vector<std::byte>& data) const {
    require<ValueError>(i < spans_.size(), "'", path(), "' has ", spans_.size(), " records, record ", i,
                        " was asked for");
    const auto [offset, size] = spans_[i];
    const auto expected = size - tfrecord_frame_bytes;
    if (expected > options_.max_record_bytes)
      return describe(i, offset, "a length of ", expected, " bytes, at most ", options_.max_record_bytes,
                      " are allowed");
    const auto left = file_size_ - std::min(file_size_, offset);
    data.resize(static_cast<std::size_t>(std::min(size, left)));
    const std::uint64_t got = file_.read_some(offset, data);
    if (got < tfrecord_header_bytes) return describe(i, offset, "truncated header (", got, " of 12 bytes)");
    std::uint64_t length = 0;
    if (auto problem = check_header(i, offset, data.data(), length)) return problem;
    if (length != expected)
      return describe(i, offset, "a length of ", length, " bytes, the index says ", expected);
    if (auto problem = check_extent(i, offset, length, got)) return problem;
    const Bytes payload = Bytes(data).subspan(tfrecord_header_bytes, static_cast<std::size_t>(length));
    const auto stored = load_le<std::uint32_t>(payload.data() + payload.size());
    const auto computed = masked_crc32c(payload);
    if (stored != computed)
      return describe(i, offset, "the data's CRC is wrong (stored ", stored, ", computed ", computed, ")");
    std::memmove(data.data(), payload.data(), payload.size());
    data.resize(payload.size());
    return std::nullopt;
  }

  File file_;
  std::uint64_t file_size_;
  TfRecordOptions options_;
  std::vector<TfRecordSpan> spans_;
  std::unique_ptr<State> state_;
};

/// The frame's first 12 bytes for `data`, and its last 4.
inline std::pair<std::array<std::byte, 12>, std::array<std::byte, 4>> tfrecord_frame(Bytes data) {
  std::array<std::byte, 12> header;
  std::array<std::byte, 4> footer;
  store_le(header.data(), static_cast<std::uint64_t>(data.size()));
  store_le(header.data() + 8, masked_crc32c(Bytes(header).first(8)));
  store_le(footer.data(), masked_crc32c(data));
  return {header, footer};
}

/// Writes a TFRecord file, and its index if asked for. Neither appears under its name before `close`.
class TfRecordWriter {
 public:
  /// Throws IoError if the files cannot be created.
  explicit TfRecordWriter(const std::string& path, const std::string& index_path = {}) : records_(path) {
    if (!index_path.empty()) index_.emplace(index_path);
  }

  void write(Bytes data) {
    const auto offset = records_.size();
    const auto [header, footer] = tfrecord_frame(data);
    records_.write(Bytes(header));
    records_.write(data);
    records_.write(Bytes(footer));
    if (index_) index_->write(text(offset, ' ', records_.size() - offset, '\n'));
    ++count_;
  }

  /// Records written so far.
  std::size_t size() const { return count_; }

  /// Saves both files. A kill between the two leaves an index that does not fit, which readers refuse.
  void close() {
    records_.commit();
    if (index_) index_->commit();
  }

 private:
  AtomicFile records_;
  std::optional<AtomicFile> index_;
  std::size_t count_ = 0;
};

}  // namespace kfer::io
