// stb_image, JPEG and PNG decoders only, inside a namespace and with internal linkage: it neither clashes
// with a copy that a program has of its own nor shows its macros. Its allocations are bounded by a budget for
// each call, since a deflate stream of a megabyte can claim to hold a gigabyte.
#pragma once

#include <cassert>
#include <climits>
#include <cmath>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

// What stb_image includes itself must be seen before, outside of the namespace.
#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif
#if defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace kfer::io::detail {

/// The largest block that stb_image may allocate now, on this thread.
inline thread_local std::size_t stb_block_limit = 0;

/// Sets it for a scope.
class StbBlockLimit {
 public:
  explicit StbBlockLimit(std::size_t bytes) : before_(stb_block_limit) { stb_block_limit = bytes; }
  StbBlockLimit(const StbBlockLimit&) = delete;
  StbBlockLimit& operator=(const StbBlockLimit&) = delete;
  ~StbBlockLimit() { stb_block_limit = before_; }

 private:
  std::size_t before_;
};

// Cleared memory: a damaged JPEG that leaves part of a picture out gives zeros there, not what lay in memory
// before.
inline void* stb_malloc(std::size_t n) {
  return n <= stb_block_limit ? std::calloc(1, n) : nullptr;
}
inline void* stb_realloc(void* p, std::size_t n) {
  return n <= stb_block_limit ? std::realloc(p, n) : nullptr;
}

}  // namespace kfer::io::detail

#pragma push_macro("STBI_REALLOC_SIZED")
#pragma push_macro("STBI_NO_BMP")
#pragma push_macro("STBI_NO_PSD")
#pragma push_macro("STBI_NO_TGA")
#pragma push_macro("STBI_NO_GIF")
#pragma push_macro("STBI_NO_PIC")
#pragma push_macro("STBI_NO_PNM")
#pragma push_macro("STBI_NO_HDR")
#pragma push_macro("STBI_NO_LINEAR")
#pragma push_macro("STBI_NO_STDIO")
#pragma push_macro("STBI_ONLY_JPEG")
#pragma push_macro("STBI_ONLY_PNG")
#pragma push_macro("STBI_ASSERT")
#pragma push_macro("STBI_MALLOC")
#pragma push_macro("STBI_REALLOC")
#pragma push_macro("STBI_FREE")
#pragma push_macro("STB_IMAGE_IMPLEMENTATION")
#pragma push_macro("STB_IMAGE_STATIC")
#pragma push_macro("STBI_INCLUDE_STB_IMAGE_H")
#pragma push_macro("STBI_VERSION")
#pragma push_macro("STBIDEF")
#undef STBI_REALLOC_SIZED
#undef STBI_NO_BMP
#undef STBI_NO_PSD
#undef STBI_NO_TGA
#undef STBI_NO_GIF
#undef STBI_NO_PIC
#undef STBI_NO_PNM
#undef STBI_NO_HDR
#undef STBI_NO_LINEAR
#undef STBI_NO_STDIO
#undef STBI_ONLY_JPEG
#undef STBI_ONLY_PNG
#undef STBI_ASSERT
#undef STBI_MALLOC
#undef STBI_REALLOC
#undef STBI_FREE
#undef STB_IMAGE_IMPLEMENTATION
#undef STB_IMAGE_STATIC
#undef STBI_INCLUDE_STB_IMAGE_H
#undef STBI_VERSION
#undef STBIDEF
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_ASSERT(x) static_cast<void>(0)
#define STBI_MALLOC(n) ::kfer::io::detail::stb_malloc(n)
#define STBI_REALLOC(p, n) ::kfer::io::detail::stb_realloc(p, n)
#define STBI_FREE(p) std::free(p)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
namespace kfer::io::detail::stb {
#include <stb/stb_image.h>
}  // namespace kfer::io::detail::stb
#pragma GCC diagnostic pop
#undef STBI_REALLOC_SIZED
#undef STBI_NO_BMP
#undef STBI_NO_PSD
#undef STBI_NO_TGA
#undef STBI_NO_GIF
#undef STBI_NO_PIC
#undef STBI_NO_PNM
#undef STBI_NO_HDR
#undef STBI_NO_LINEAR
#undef STBI_NO_STDIO
#undef STBI_ONLY_JPEG
#undef STBI_ONLY_PNG
#undef STBI_ASSERT
#undef STBI_MALLOC
#undef STBI_REALLOC
#undef STBI_FREE
#undef STB_IMAGE_IMPLEMENTATION
#undef STB_IMAGE_STATIC
#undef STBI_INCLUDE_STB_IMAGE_H
#undef STBI_VERSION
#undef STBIDEF
#pragma pop_macro("STBI_REALLOC_SIZED")
#pragma pop_macro("STBI_NO_BMP")
#pragma pop_macro("STBI_NO_PSD")
#pragma pop_macro("STBI_NO_TGA")
#pragma pop_macro("STBI_NO_GIF")
#pragma pop_macro("STBI_NO_PIC")
#pragma pop_macro("STBI_NO_PNM")
#pragma pop_macro("STBI_NO_HDR")
#pragma pop_macro("STBI_NO_LINEAR")
#pragma pop_macro("STBI_NO_STDIO")
#pragma pop_macro("STBI_ONLY_JPEG")
#pragma pop_macro("STBI_ONLY_PNG")
#pragma pop_macro("STBI_ASSERT")
#pragma pop_macro("STBI_MALLOC")
#pragma pop_macro("STBI_REALLOC")
#pragma pop_macro("STBI_FREE")
#pragma pop_macro("STB_IMAGE_IMPLEMENTATION")
#pragma pop_macro("STB_IMAGE_STATIC")
#pragma pop_macro("STBI_INCLUDE_STB_IMAGE_H")
#pragma pop_macro("STBI_VERSION")
#pragma pop_macro("STBIDEF")
