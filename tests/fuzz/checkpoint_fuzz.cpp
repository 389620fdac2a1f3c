// The state of a run: arbitrary bytes, or a sound state with bytes changed, by the first byte. What is
// refused must leave model and optimiser alone; what is accepted must save and load again.
#include "kfer/train/checkpoint.hpp"

#include "../support/small_net.hpp"
#include "fuzz.hpp"
#include "kfer/optim/adam_cpu.hpp"

namespace {

using namespace kfer;

using test::numbers;
using test::Small;

const std::vector<std::byte>& sound() {
  static const auto bytes = fuzz::saved([](const std::string& path) {
    Small net;
    Adam<> adam(named_parameters(net));
    save_checkpoint(path, net, adam, test::state_of<TrainingState<float, Cpu>>(net));
  });
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto content = fuzz::damaged(sound(), fuzz::bytes(data, size));
  Small net;
  Adam<> adam(named_parameters(net));
  const auto before = numbers(net);
  bool accepted = false;
  fuzz::run([&] {
    const auto state = load_checkpoint(io::Safetensors::parse(content), net, adam, [](const auto&) {});
    accepted = true;
    fuzz::check(state.batch <= state.batches_per_epoch && state.skipped <= state.batch);
    for (const auto& row : state.history.rows()) fuzz::check(row.size() == state.history.columns().size());
  });
  if (!accepted) fuzz::check(numbers(net) == before && adam.steps() == 0);
  return 0;
}
