// JSON: what is accepted must be written as text that parses to the same value.
#include "fuzz.hpp"
#include "kfer/io/json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kfer::io;
  fuzz::run([&] {
    const auto json = parse_json(as_text(fuzz::bytes(data, size)));
    const auto text = to_string(json, size % 3);
    try {
      fuzz::check(parse_json(text) == json);
    } catch (const kfer::Error&) {
      fuzz::check(false);
    }
  });
  return 0;
}
