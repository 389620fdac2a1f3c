// A type without to_string cannot stand in a message.
// expect: append_text
#include <kfer/core/error.hpp>

struct Opaque {};

int main() {
#ifdef WRONG
  kfer::require(false, "the value is ", Opaque{});
#else
  kfer::require(true, "the value is ", 3);
#endif
}
