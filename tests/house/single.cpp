// The generated single header, alone: no include path leads to kfer's own headers.
#include <kfer_single.hpp>

#if __has_include(<kfer/core/error.hpp>)
#error "this program must see the generated header alone"
#endif

#include <cstdio>

int main() {
  std::printf("%s\n", to_string(kfer::Shape{2, 3}).c_str());
  return kfer::Shape{2, 3}.numel() == 6 ? 0 : 1;
}
