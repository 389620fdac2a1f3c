// Weights into a model, from arbitrary bytes or from a sound file with bytes changed, by the first byte:
// refused, with the model as it was, or taken whole.
#include "fuzz.hpp"
#include "kfer/nn/linear.hpp"
#include "kfer/nn/state_dict.hpp"
#include "kfer/tensor/relayout.hpp"

namespace {

using namespace kfer;

struct Small {
  static constexpr std::string_view name = "small";
  Linear<> fc1, fc2;
  explicit Small(RandomStream random = {.seed = 3}) : fc1(2, 3, random), fc2(3, 1, random) {}
  template <class Visitor>
  void visit(Visitor&& v) {
    v("fc1", fc1);
    v("fc2", fc2);
  }
};

const std::vector<std::byte>& sound() {
  static const auto bytes = [] {
    Small net;
    const std::string path = text("/tmp/kfer_fuzz_", static_cast<long>(::getpid()), "_sound");
    save_weights(net, path, {{"epoch", "1"}, {"task", "22_emo"}});
    auto content = io::read_file(path);
    ::unlink(path.c_str());
    return content;
  }();
  return bytes;
}

std::vector<float> numbers(Small& net) {
  std::vector<float> out;
  for (const auto& [name, value] : state_dict(net))
    for (const float v : value.to_vector()) out.push_back(v);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto input = fuzz::bytes(data, size).subspan(1);
  const auto content = fuzz::sealed(data[0] % 4 ? fuzz::edited(sound(), input)
                                                : std::vector<std::byte>(input.begin(), input.end()));
  Small net;
  const auto before = numbers(net);
  bool accepted = false;
  fuzz::run([&] {
    load_weights(net, fuzz::file_with(content, "weights"));
    accepted = true;
  });
  if (!accepted) fuzz::check(std::ranges::equal(numbers(net), before));
  return 0;
}
