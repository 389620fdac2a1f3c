// Weights into a model, from arbitrary bytes or from a sound file with bytes changed, by the first byte:
// refused, with the model as it was, or taken whole.
#include "../support/small_net.hpp"
#include "fuzz.hpp"
#include "kfer/tensor/relayout.hpp"

namespace {

using namespace kfer;

using test::numbers;
using test::Small;

const std::vector<std::byte>& sound() {
  static const auto bytes = fuzz::saved([](const std::string& path) {
    Small net;
    save_weights(net, path, {{"epoch", "1"}, {"task", "22_emo"}});
  });
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto content = fuzz::damaged(sound(), fuzz::bytes(data, size));
  Small net;
  const auto before = numbers(net);
  bool accepted = false;
  fuzz::run([&] {
    load_weights(net, fuzz::file_with(content, "weights"));
    accepted = true;
  });
  if (!accepted) fuzz::check(numbers(net) == before);
  return 0;
}
