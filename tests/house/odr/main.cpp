// Two sources include all of kfer and link into one program: every definition is inline, and there is one of
// each.
#include <cstdio>

#include "../umbrella.hpp"

std::string message_of_other();
const void* version_of_other();
auto to_string_of_other() -> std::string (*)(const kfer::Shape&);

int main() {
  const std::string message = kfer::text("kfer ", kfer::version, " ", kfer::Shape{2, 3});
  const auto to_string = static_cast<std::string (*)(const kfer::Shape&)>(&kfer::to_string);
  const bool same = message == message_of_other() && &kfer::version == version_of_other() &&
                    to_string == to_string_of_other();
  std::printf("%s: %s\n", message.c_str(), same ? "one definition of each" : "two definitions");
  return same ? 0 : 1;
}
