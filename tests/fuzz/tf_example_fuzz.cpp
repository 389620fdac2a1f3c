// tf.train.Example: what is accepted must encode to what decodes to the same.
#include "fuzz.hpp"
#include "kfer/io/tf_example.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kfer::io;
  fuzz::run([&] {
    const auto example = TfExample::parse(fuzz::bytes(data, size));
    const auto encoded = example.encode();
    const auto again = TfExample::parse(encoded);
    fuzz::check(again.features().size() == example.features().size() && again.encode() == encoded);
  });
  return 0;
}
