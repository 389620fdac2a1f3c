// What the fuzzers share. Each feeds arbitrary bytes to one parser: it may return or throw a kfer::Error; a
// crash, a sanitizer's report, a broken promise (`check`) or a request for much more memory than the input
// justifies is a defect.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "kfer/core/error.hpp"
#include "kfer/io/bytes.hpp"
#include "kfer/io/file.hpp"
#include "kfer/io/safetensors.hpp"

namespace fuzz {

inline void check(bool ok) {
  if (!ok) std::abort();
}

/// Runs `parse`; a kfer::Error is an answer, anything else is not caught.
template <class Parse>
void run(const Parse& parse) {
  try {
    parse();
  } catch (const kfer::Error&) {
  }
}

inline kfer::io::Bytes bytes(const std::uint8_t* data, std::size_t size) {
  return std::as_bytes(std::span(data, size));
}

/// `content` with the checksum that kfer's safetensors reader wants, if it stands where a checksum belongs:
/// or no damage but to the checksum would ever be tried.
inline std::vector<std::byte> sealed(kfer::io::Bytes content) {
  using namespace kfer::io;
  std::vector<std::byte> out(content.begin(), content.end());
  const auto place = kfer::io::detail::checksum_place, zeros = kfer::io::detail::checksum_zeros;
  const auto at = 8 + place.size();
  if (out.size() < at + zeros.size() || !as_text(out).substr(8).starts_with(place)) return out;
  const auto digits = std::span(out).subspan(at, zeros.size());
  std::ranges::copy(as_bytes(zeros), digits.begin());
  std::ranges::copy(as_bytes(kfer::io::detail::checksum_digits(crc32c(out))), digits.begin());
  return out;
}

/// A sound file with a few of its bytes changed as `edits` says, three bytes an edit (place, place, value):
/// reaches what lies behind a structure that random bytes do not have.
inline std::vector<std::byte> edited(std::vector<std::byte> sound, kfer::io::Bytes edits) {
  for (; edits.size() >= 3 && !sound.empty(); edits = edits.subspan(3))
    sound[kfer::io::load_le<std::uint16_t>(edits.data()) % sound.size()] = edits[2];
  return sound;
}

/// The fuzzer's bytes as they are, or `sound` with the edits that they say, by the first byte; sealed either
/// way. There is a first byte.
inline std::vector<std::byte> damaged(const std::vector<std::byte>& sound, kfer::io::Bytes input) {
  const auto rest = input.subspan(1);
  return sealed(std::to_integer<unsigned>(input[0]) % 4 ? edited(sound, rest)
                                                        : std::vector<std::byte>(rest.begin(), rest.end()));
}

/// A path of this process at which there is no file.
inline std::string fresh_path(const char* name) {
  const std::string path = "/tmp/kfer_fuzz_" + std::to_string(::getpid()) + "_" + name;
  ::unlink(path.c_str());
  return path;
}
/// A file of this process that holds `content`, for parsers that read files.
inline const std::string& file_with(kfer::io::Bytes content, const char* name) {
  static thread_local std::string path;
  path = fresh_path(name);
  kfer::io::AppendFile(path).write(content);
  return path;
}
/// The content of the file that `save(path)` writes.
template <class Save>
std::vector<std::byte> saved(const Save& save) {
  const auto path = fresh_path("sound");
  save(path);
  auto content = kfer::io::read_file(path);
  ::unlink(path.c_str());
  return content;
}

/// That a reader's tensors have the stated sizes and are found by their names. Returns the bytes of all.
template <class File>
std::size_t check_tensors(const File& file) {
  std::size_t bytes = 0;
  for (const auto& [name, view] : file.tensors()) {
    check(view.data.size() ==
          static_cast<std::size_t>(view.shape.numel()) * kfer::io::safetensors_item_size(view.dtype));
    check(file.find(name) == &file.at(name));
    bytes += view.data.size();
  }
  return bytes;
}

}  // namespace fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
