// A user's program: builds with nothing but what kfer's package says.
#if __has_include(<kfer/kfer.hpp>)
#include <kfer/kfer.hpp>
#else
#include <kfer/core/config.hpp>
#include <kfer/core/shape.hpp>
#endif
#include <cstdio>

int main() {
  std::printf("kfer %s %s\n", kfer::version, to_string(kfer::Shape{2, 3}).c_str());
  return kfer::Shape{2, 3}.numel() == 6 ? 0 : 1;
}
