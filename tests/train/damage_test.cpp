// Saved states and weights cut at every byte and flipped at every bit: refused, and nothing is changed by
// trying.
#include <doctest/doctest.h>

#include "io/support.hpp"
#include "kfer/autograd/backward.hpp"
#include "kfer/nn/nn.hpp"
#include "kfer/ops/ops.hpp"
#include "kfer/optim/adam_cpu.hpp"
#include "kfer/train/checkpoint.hpp"
#include "support/small_net.hpp"

using namespace kfer;
using test::numbers;
using test::Small;

TEST_CASE("a saved state, damaged anywhere, is refused") {
  const test::TemporaryDirectory dir;
  const std::string path = dir / "state";
  Small net;
  Adam<> adam(named_parameters(net));
  backward(mean(net.fc(Variable<>(full({1, 2}, 0.5f)))));
  adam.step();
  save_checkpoint(path, net, adam, test::state_of<TrainingState<float, Cpu>>(net));
  const auto good = io::read_file(path);
  REQUIRE(load_checkpoint(path, net, adam).batch == 2);

  Small other(RandomStream{.seed = 4});
  Adam<> fresh(named_parameters(other));
  const auto before = numbers(other);
  const auto stream = other.dropout.random;
  std::size_t refused = 0;
  test::damage(good, [&](const std::vector<std::byte>& bad) {
    try {
      load_checkpoint(io::Safetensors::parse(bad, "state"), other, fresh, [](const auto&) {});
    } catch (const FormatError&) {
      ++refused;
    }
  });
  CHECK(refused == good.size() * 9);
  CHECK(numbers(other) == before);
  CHECK(fresh.steps() == 0);
  CHECK(other.dropout.random.seed == stream.seed);

  save_weights(net, path, {{"epoch", "1"}});
  const auto weights = io::read_file(path);
  refused = 0;
  test::damage(weights, [&](const std::vector<std::byte>& bad) {
    test::write(path, bad);
    try {
      load_weights(other, path);
    } catch (const FormatError&) {
      ++refused;
    }
  });
  CHECK(refused == weights.size() * 9);
  CHECK(numbers(other) == before);
}

TEST_CASE("a state without checksum is none, as are weights and states of before") {
  Small net;
  Adam<> adam(named_parameters(net));
  const std::string header = R"({"__metadata__":{"kfer":"training state 2","model":"small"}})";
  std::vector<std::byte> bytes;
  io::append_le(bytes, static_cast<std::uint64_t>(header.size()));
  io::append(bytes, io::as_bytes(header));
  const auto accept = [](const auto&) {};
  CHECK(test::throws_with<FormatError>(
      [&] { load_checkpoint(io::Safetensors::parse(bytes, "s"), net, adam, accept); },
      {"'s'", "no checksum"}));
  for (const auto& metadata : {io::Metadata{}, io::Metadata{{"kfer", "training state 1"}}}) {
    const auto file = io::safetensors_header({}, metadata);
    CHECK(test::throws_with<FormatError>(
        [&] { load_checkpoint(io::Safetensors::parse(io::as_bytes(file), "s"), net, adam, accept); },
        {"'s'", "no training state of this version"}));
  }
}
