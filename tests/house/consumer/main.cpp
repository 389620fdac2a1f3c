// A user's program: builds with nothing but what kfer's package says.
#include <cstdio>

#include <kfer/kfer.hpp>

int main() {
  std::printf("kfer %s %s\n", kfer::version, to_string(kfer::Shape{2, 3}).c_str());
  return kfer::Shape{2, 3}.numel() == 6 ? 0 : 1;
}
