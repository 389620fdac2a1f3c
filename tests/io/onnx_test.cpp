// The ONNX writer, against what the onnx package serialises (tools/make_onnx_test_data.py).
#include "kfer/io/onnx.hpp"

#include <doctest/doctest.h>

#include <fstream>

#include "io/support.hpp"

namespace io = kfer::io;
namespace onnx = kfer::io::onnx;
using kfer::Shape;
using test::TemporaryDirectory;
using test::throws_with;

namespace {

/// -1, -7/8, -6/8, ...
onnx::Initializer eighths(std::string name, const Shape& shape) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < shape.numel(); ++i) values.push_back(static_cast<float>(i) / 8 - 1);
  return {std::move(name), shape, std::move(values)};
}

/// What tiny() of the script makes.
onnx::Model tiny() {
  using Ints = std::vector<std::int64_t>;
  using Floats = std::vector<float>;
  onnx::Model model{.producer_name = "kfer", .producer_version = "0.1.0"};
  model.graph = {
      .name = "tiny",
      .nodes = {{"Conv",
                 "conv",
                 {"image", "conv.weight", "conv.bias"},
                 {"conv"},
                 {{"group", std::int64_t{1}}, {"kernel_shape", Ints{3, 3}}, {"pads", Ints{1, 1, 1, 1}}}},
                {"BatchNormalization",
                 "bn",
                 {"conv", "bn.weight", "bn.bias", "bn.mean", "bn.var"},
                 {"bn"},
                 {{"epsilon", 1e-5f}}},
                {"Resize", "upsample", {"bn", "", "scales"}, {"upsample"}, {{"mode", "nearest"}}},
                {"Reshape", "größe", {"upsample", "shape"}, {"größe"}}},
      .initializers = {eighths("conv.weight", {2, 1, 3, 3}),
                       eighths("conv.bias", {2}),
                       eighths("bn.weight", {2}),
                       eighths("bn.bias", {2}),
                       eighths("bn.mean", {2}),
                       {"bn.var", {2}, Floats{0.5f, 2}},
                       {"scales", {4}, Floats{1, 1, 2, 2}},
                       {"shape", {2}, Ints{0, -1}}},
      .inputs = {{"image", {"N", std::int64_t{1}, std::int64_t{4}, std::int64_t{4}}}},
      .outputs = {{"größe", {"N", std::int64_t{128}}}}};
  model.metadata = {{"labels", "sad,happy"}, {"empty", ""}};
  return model;
}

std::vector<std::byte> serialized(const onnx::Model& model) {
  std::vector<std::byte> out;
  onnx::serialize(model, [&](io::Bytes bytes) { io::append(out, bytes); });
  return out;
}

}  // namespace

TEST_CASE("a model is what the onnx package serialises, byte for byte") {
  CHECK(serialized(tiny()) == io::read_file(test::data_path("tiny.onnx")));
}

TEST_CASE("a saved model is the serialised one, and replaces a file entirely or not at all") {
  const TemporaryDirectory directory;
  const auto path = directory / "model.onnx";
  onnx::write(path, tiny());
  CHECK(io::read_file(path) == serialized(tiny()));
  auto wrong = tiny();
  wrong.graph.initializers[1].shape = {3};
  CHECK(throws_with<kfer::ShapeError>([&] { onnx::write(path, wrong); },
                                      {"conv.bias", "[3]", "3 elements, got 2"}));
  CHECK(io::read_file(path) == serialized(tiny()));
  CHECK(directory.list() == std::vector<std::string>{"model.onnx"});
  CHECK(throws_with<kfer::IoError>([&] { onnx::write(directory / "none/model.onnx", tiny()); },
                                   {"none/model.onnx"}));
}

TEST_CASE("a model larger than a protocol buffer may be is refused before anything is written") {
  const auto bytes = serialized(tiny()).size();
  bool called = false;
  const auto sink = [&](io::Bytes) { called = true; };
  CHECK(throws_with<kfer::ValueError>([&] { onnx::serialize(tiny(), sink, bytes - 1); },
                                      {kfer::text(bytes), kfer::text(bytes - 1)}));
  CHECK(!called);
  onnx::serialize(tiny(), sink, bytes);
  CHECK(called);
  CHECK(onnx::max_bytes == (std::uint64_t{1} << 31) - 1);
}
