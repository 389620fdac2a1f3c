// The second source of the program: it sees the same functions and variables as main.cpp does.
#include "../umbrella.hpp"

std::string message_of_other() {
  return kfer::text("kfer ", kfer::version, " ", kfer::Shape{2, 3});
}
const void* version_of_other() {
  return &kfer::version;
}
auto to_string_of_other() -> std::string (*)(const kfer::Shape&) {
  return &kfer::to_string;
}
