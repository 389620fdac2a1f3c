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

/// A file of this process that holds `content`, for parsers that read files.
inline const std::string& file_with(kfer::io::Bytes content, const char* name) {
  static thread_local std::string path;
  path = "/tmp/kfer_fuzz_" + std::to_string(::getpid()) + "_" + name;
  ::unlink(path.c_str());
  kfer::io::AppendFile(path).write(content);
  return path;
}

}  // namespace fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
