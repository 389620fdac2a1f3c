// Version and the few compiler facts that the rest of kfer relies on.
#pragma once

#define KFER_VERSION_MAJOR 0
#define KFER_VERSION_MINOR 1
#define KFER_VERSION_PATCH 0

#if __cplusplus < 202002L
#error "kfer needs C++20: compile with -std=c++20 or newer"
#endif

namespace kfer {
inline constexpr const char* version = "0.1.0";
}
