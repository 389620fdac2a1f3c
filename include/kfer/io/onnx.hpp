// ONNX models (https://onnx.ai/onnx/repo-docs/IR.html): what a network computes, with its weights, in the
// format that other runtimes read. Writing only; what is written is, byte for byte, what the onnx package
// serialises of the same model (fields in ascending order, tensors as raw little-endian data).
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "kfer/core/shape.hpp"
#include "kfer/io/file.hpp"
#include "kfer/io/protobuf.hpp"

namespace kfer::io::onnx {

/// An attribute's value; kfer's models need these four kinds.
using Value = std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>>;

/// One operator applied to named values (https://onnx.ai/onnx/operators). An optional input that is left out
/// before others is named "".
struct Node {
  std::string op_type, name;
  std::vector<std::string> inputs, outputs;
  std::vector<std::pair<std::string, Value>> attributes = {};
};

/// A constant: weights, or numbers that an operator takes as an input.
struct Initializer {
  std::string name;
  Shape shape;
  std::variant<std::vector<float>, std::vector<std::int64_t>> values;

  Bytes bytes() const {
    return std::visit([](const auto& v) { return std::as_bytes(std::span(v)); }, values);
  }
};

/// An extent of an input or output: a number, or a name for what may differ from call to call ("N").
using Extent = std::variant<std::int64_t, std::string>;

/// A graph's input or output: float elements.
struct Port {
  std::string name;
  std::vector<Extent> shape;
};

struct Graph {
  std::string name;
  std::vector<Node> nodes;  ///< each after those whose outputs it takes
  std::vector<Initializer> initializers;
  std::vector<Port> inputs, outputs;
};

struct Model {
  std::int64_t ir_version = 8;
  std::int64_t opset =
      17;  ///< of the operators; both are those of ONNX 1.12, which current runtimes all read
  std::string producer_name = "", producer_version = "";
  Graph graph = {};
  std::vector<std::pair<std::string, std::string>> metadata = {};  ///< free text that travels with the model
};

/// What a protocol buffer may hold, by its specification; runtimes refuse larger files.
inline constexpr std::uint64_t max_bytes = 0x7fffffff;

namespace detail {

/// The numbers of fields and element types are those of onnx.proto.
enum DataType : std::uint64_t { float32 = 1, int64 = 7 };

inline std::uint64_t data_type(const Initializer& x) {
  return std::holds_alternative<std::vector<float>>(x.values) ? float32 : int64;
}

inline ProtoWriter attribute(const std::string& name, const Value& value) {
  enum Type : std::uint64_t { type_float = 1, type_int = 2, type_string = 3, type_ints = 7 };
  ProtoWriter out;
  out.bytes(1, name);
  if (const auto* f = std::get_if<float>(&value)) {
    out.fixed(2, *f);
    out.varint(20, type_float);
  } else if (const auto* i = std::get_if<std::int64_t>(&value)) {
    out.varint(3, static_cast<std::uint64_t>(*i));
    out.varint(20, type_int);
  } else if (const auto* s = std::get_if<std::string>(&value)) {
    out.bytes(4, *s);
    out.varint(20, type_string);
  } else {
    for (const auto i : std::get<std::vector<std::int64_t>>(value))
      out.varint(8, static_cast<std::uint64_t>(i));
    out.varint(20, type_ints);
  }
  return out;
}

inline ProtoWriter node(const Node& n) {
  ProtoWriter out;
  for (const auto& input : n.inputs) out.bytes(1, input);
  for (const auto& output : n.outputs) out.bytes(2, output);
  out.bytes(3, n.name);
  out.bytes(4, n.op_type);
  for (const auto& [name, value] : n.attributes) out.message(5, attribute(name, value));
  return out;
}

/// A tensor up to its data.
inline ProtoWriter tensor_head(const Initializer& x) {
  const auto bytes = x.bytes();
  const std::size_t item_size = data_type(x) == float32 ? 4 : 8;
  require<ShapeError>(static_cast<std::uint64_t>(x.shape.numel()) == bytes.size() / item_size,
                      "onnx: tensor '", x.name, "' of shape ", x.shape, " has ", x.shape.numel(),
                      " elements, got ", bytes.size() / item_size);
  ProtoWriter out;
  for (const auto extent : x.shape) out.varint(1, static_cast<std::uint64_t>(extent));
  out.varint(2, data_type(x));
  out.bytes(8, x.name);
  out.begin_bytes(9, bytes.size());
  return out;
}

inline ProtoWriter port(const Port& p) {
  ProtoWriter shape, tensor, type, out;
  for (const auto& extent : p.shape) {
    ProtoWriter dimension;
    if (const auto* number = std::get_if<std::int64_t>(&extent))
      dimension.varint(1, static_cast<std::uint64_t>(*number));
    else
      dimension.bytes(2, std::get<std::string>(extent));
    shape.message(1, dimension);
  }
  tensor.varint(1, float32);
  tensor.message(2, shape);
  type.message(1, tensor);
  out.bytes(1, p.name);
  out.message(2, type);
  return out;
}

}  // namespace detail

/// Hands the serialised model to `sink(Bytes)`, piece by piece; the weights are not copied. Throws ShapeError
/// for a tensor whose values do not fit its shape, ValueError for a model of more than `limit` bytes, both
/// before the sink is called.
template <class Sink>
requires std::invocable<Sink&, Bytes>
void serialize(const Model& model, Sink&& sink, std::uint64_t limit = max_bytes) {
  const Graph& graph = model.graph;
  ProtoWriter before, after;  // of the graph's fields: those before the tensors, and those behind them
  for (const auto& node : graph.nodes) before.message(1, detail::node(node));
  before.bytes(2, graph.name);
  for (const auto& input : graph.inputs) after.message(11, detail::port(input));
  for (const auto& output : graph.outputs) after.message(12, detail::port(output));

  std::vector<ProtoWriter> heads;  // of each tensor: all but its data
  std::uint64_t graph_bytes = before.view().size() + after.view().size();
  for (const auto& initializer : graph.initializers) {
    const auto inner = detail::tensor_head(initializer);
    const auto data_bytes = initializer.bytes().size();
    auto& head = heads.emplace_back();
    head.begin_bytes(5, inner.view().size() + data_bytes);
    head.append(inner);
    graph_bytes += head.view().size() + data_bytes;
  }

  ProtoWriter begin, end;
  begin.varint(1, static_cast<std::uint64_t>(model.ir_version));
  begin.bytes(2, model.producer_name);
  begin.bytes(3, model.producer_version);
  begin.begin_bytes(7, graph_bytes);
  ProtoWriter opset;
  opset.bytes(1, std::string_view());  // the domain of ONNX's own operators
  opset.varint(2, static_cast<std::uint64_t>(model.opset));
  end.message(8, opset);
  for (const auto& [key, value] : model.metadata) {
    ProtoWriter entry;
    entry.bytes(1, key);
    entry.bytes(2, value);
    end.message(14, entry);
  }
  const auto total = begin.view().size() + graph_bytes + end.view().size();
  require(total <= limit, "onnx: the model takes ", total, " bytes, more than the ", limit,
          " that a file may hold");

  sink(begin.view());
  sink(before.view());
  for (std::size_t i = 0; i < heads.size(); ++i) {
    sink(heads[i].view());
    sink(graph.initializers[i].bytes());
  }
  sink(after.view());
  sink(end.view());
}

/// Saves a model; the file at `path` is replaced entirely or not at all. Throws IoError and what `serialize`
/// throws.
inline void write(const std::string& path, const Model& model) {
  atomic_write(path, [&](AtomicFile& file) { serialize(model, [&](Bytes bytes) { file.write(bytes); }); });
}

}  // namespace kfer::io::onnx
