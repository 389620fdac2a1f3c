// ONNX models of modules, read off the graph that a forward pass records for differentiation: the module runs
// once, and every recorded operation is translated with the options it really ran with. So there is no second
// description of a network that could fall out of step with its code.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "kfer/core/config.hpp"
#include "kfer/io/onnx.hpp"
#include "kfer/nn/nn.hpp"
#include "kfer/ops/elementwise/binary.hpp"
#include "kfer/ops/softmax/softmax.hpp"

namespace kfer {

struct OnnxOptions {
  std::string name = "kfer";  ///< of the graph
  std::string input = "input", output = "output";
  std::vector<std::pair<std::string, std::string>> metadata = {};
};

namespace detail {

/// The ONNX operator that an elementwise functor is, as far as there is one.
template <class F>
inline constexpr const char* onnx_operator = nullptr;
template <>
inline constexpr const char* onnx_operator<ReluFunctor> = "Relu";
template <>
inline constexpr const char* onnx_operator<SigmoidFunctor> = "Sigmoid";
template <>
inline constexpr const char* onnx_operator<TanhFunctor> = "Tanh";
template <>
inline constexpr const char* onnx_operator<ExpFunctor> = "Exp";
template <>
inline constexpr const char* onnx_operator<LogFunctor> = "Log";
template <>
inline constexpr const char* onnx_operator<SqrtFunctor> = "Sqrt";
template <>
inline constexpr const char* onnx_operator<AbsFunctor> = "Abs";
template <>
inline constexpr const char* onnx_operator<AddFunctor> = "Add";
template <>
inline constexpr const char* onnx_operator<SubtractFunctor> = "Sub";
template <>
inline constexpr const char* onnx_operator<MultiplyFunctor> = "Mul";
template <>
inline constexpr const char* onnx_operator<DivideFunctor> = "Div";
template <>
inline constexpr const char* onnx_operator<MaximumFunctor> = "Max";

/// Translates one recorded graph. To teach it an operation: an overload of `translate` for what the operation
/// saves for its backward pass, and its line in `visit`.
template <class D>
class OnnxTranslator {
 public:
  using V = Variable<float, D>;
  using Inputs = std::vector<V>;
  /// Extent of the batch while tracing: not 1, so that it cannot be taken for an extent that repeats.
  static constexpr std::int64_t batch = 2;

  template <Module M>
  OnnxTranslator(M& model, const OnnxOptions& options)
      : options_(options), used_{options.input, options.output} {
    require(options.input != options.output, "onnx: input and output are both called '", options.input, "'");
    const auto reserve = [&](const std::string& path) {
      require(used_.insert(path).second, "onnx: '", path, "' is a parameter or buffer of the model already");
    };
    for_each_parameter(model, [&](const std::string& path, const V& p) {
      leaves_.emplace(&p.value(), path);
      reserve(path);
    });
    for_each_buffer(model, [&](const std::string& path, const auto&) { reserve(path); });
    for_each_module(model, [&](const std::string& path, auto& m) {
      if constexpr (std::same_as<std::remove_cvref_t<decltype(m)>, BatchNorm2d<float, D>>)
        batch_norms_.emplace(&m.weight.value(), Norm{path, m.running_mean, m.running_var, m.eps});
    });
  }

  io::onnx::Model run(const V& x, const V& y) {
    require(y.node() != nullptr, "onnx: the result does not depend on the input");
    require<ShapeError>(y.shape().rank() >= 1 && y.shape()[0] == batch, "onnx: ", batch,
                        " inputs gave a result of shape ", y.shape(), ": expected one for each");
    input_ = &x.value();
    for (const Node* node : nodes_of(y)) {
      const bool known = visit(*node, [&](const auto& operation, const auto&... lists) {
        values_[node] = translate(operation, lists...);
      });
      require(known, "onnx: an operation on ", parents_of(*node), " has no translation to ONNX");
    }
    require(used_input_, "onnx: the result does not depend on the input");
    model_.graph.nodes.back().outputs[0] = options_.output;  // the root: nothing here takes it as an input
    model_.graph.name = options_.name;
    model_.graph.inputs = {port(options_.input, x.shape())};
    model_.graph.outputs = {port(options_.output, y.shape())};
    model_.producer_name = "kfer";
    model_.producer_version = version;
    model_.metadata = options_.metadata;
    return std::move(model_);
  }

 private:
  struct Norm {
    std::string path;
    Tensor<float, D> mean, variance;
    double eps;
  };

  /// Calls f(operation, inputs...) with what `node` recorded, if it is one of the operations below.
  template <class F>
  static bool visit(const Node& node, const F& f) {
    return visit_as<Conv2dBackward<float, D>>(node, f) ||
           visit_as<ConvTranspose2dBackward<float, D>>(node, f) ||
           visit_as<LinearBackward<float, D>>(node, f) ||
           visit_as<BatchNormBackward<float, D>, V, V>(node, f) ||
           visit_as<MaxPool2dBackward<float, D>>(node, f) || visit_as<AvgPool2dBackward<float, D>>(node, f) ||
           visit_as<GlobalAvgPoolBackward<float, D>>(node, f) ||
           visit_as<UpsampleBackward<float, D>>(node, f) || visit_as<ReshapeBackward<float, D>>(node, f) ||
           visit_as<SoftmaxBackward<float, D>>(node, f) || visit_as<AddReluBackward<float, D>>(node, f) ||
           visit_as<DropoutBackward<float, D>>(node, f) || visit_as<ReluDropoutBackward<float, D>>(node, f) ||
           visit_elementwise<UnaryBackward, ReluFunctor, SigmoidFunctor, TanhFunctor, ExpFunctor, LogFunctor,
                             SqrtFunctor, AbsFunctor>(node, f) ||
           visit_elementwise<BinaryBackward, AddFunctor, SubtractFunctor, MultiplyFunctor, DivideFunctor,
                             MaximumFunctor>(node, f);
  }
  template <template <class, FloatingElement, class> class Backward, class... Functors, class F>
  static bool visit_elementwise(const Node& node, const F& f) {
    return (visit_as<Backward<Functors, float, D>>(node, f) || ...);
  }
  template <class Operation, class First = V, class... More, class F>
  static bool visit_as(const Node& node, const F& f) {
    const auto* recorded = dynamic_cast<const Recorded<float, D, Operation, First, More...>*>(&node);
    if (recorded)
      std::apply([&](const auto&... lists) { f(recorded->operation(), lists...); }, recorded->inputs());
    return recorded != nullptr;
  }

  std::string translate(const Conv2dBackward<float, D>& op, const Inputs& in) {
    require_inference(!op.epilogue.dropout);
    const auto& s = op.shape;
    const auto layer = layer_of(in[1], "conv2d");
    auto inputs = names(in);
    std::string residual;
    if (op.has_residual) {
      residual = std::move(inputs.back());
      inputs.pop_back();
    }
    auto y = emit("Conv", layer, std::move(inputs),
                  {{"dilations", pair(s.dilation)},
                   {"group", s.groups},
                   {"kernel_shape", ints(s.kernel_height, s.kernel_width)},
                   {"pads", both_sides(s.padding)},
                   {"strides", pair(s.stride)}});
    if (op.has_residual) y = emit("Add", layer + ".add", {std::move(y), std::move(residual)});
    return relu_if(op.epilogue.relu, std::move(y), layer);
  }
  /// `op.shape` is that of the convolution from the result to the input.
  std::string translate(const ConvTranspose2dBackward<float, D>& op, const Inputs& in) {
    const auto& s = op.shape;
    const auto missing = [](std::int64_t result, std::int64_t input, std::int64_t kernel, std::int64_t stride,
                            std::int64_t padding, std::int64_t dilation) {
      return result - ((input - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1);
    };
    const auto layer = layer_of(in[1], "conv_transpose2d");
    return relu_if(
        op.relu,
        emit("ConvTranspose", layer, names(in),
             {{"dilations", pair(s.dilation)},
              {"group", s.groups},
              {"kernel_shape", ints(s.kernel_height, s.kernel_width)},
              {"output_padding", ints(missing(s.height, s.out_height, s.kernel_height, s.stride.height,
                                              s.padding.height, s.dilation.height),
                                      missing(s.width, s.out_width, s.kernel_width, s.stride.width,
                                              s.padding.width, s.dilation.width))},
              {"pads", both_sides(s.padding)},
              {"strides", pair(s.stride)}}),
        layer);
  }
  std::string translate(const LinearBackward<float, D>& op, const Inputs& in) {
    require_inference(!op.options.dropout);
    require(in[0].shape().rank() == 2, "onnx: a linear layer takes ", in[0].shape(), ", expected [N, in]");
    const auto layer = layer_of(in[1], "linear");
    return relu_if(op.options.relu, emit("Gemm", layer, names(in), {{"transB", std::int64_t{1}}}), layer);
  }
  std::string translate(const BatchNormBackward<float, D>& op, const Inputs& in, const Inputs& parameters) {
    require_inference(!op.training);
    const auto found = batch_norms_.find(&parameters[0].value());
    require(found != batch_norms_.end(), "onnx: a batch norm of ", value_name(in[0]),
            " is none of the model's layers");
    const auto& [path, mean, variance, eps] = found->second;
    const std::string prefix = path.empty() ? "" : path + ".", layer = path.empty() ? "batch_norm" : path;
    auto y = emit("BatchNormalization", layer,
                  {value_name(in[0]), value_name(parameters[0]), value_name(parameters[1]),
                   constant(prefix + "running_mean", mean), constant(prefix + "running_var", variance)},
                  {{"epsilon", static_cast<float>(eps)}});
    if (in.size() > 1) y = emit("Add", layer + ".add", {y, value_name(in[1])});
    return relu_if(op.relu, std::move(y), layer);
  }
  std::string translate(const MaxPool2dBackward<float, D>& op, const Inputs& in) {
    return emit("MaxPool", "max_pool", names(in), window(op.shape));
  }
  std::string translate(const AvgPool2dBackward<float, D>& op, const Inputs& in) {
    auto attributes = window(op.shape);
    attributes.insert(attributes.begin(), {"count_include_pad", std::int64_t{op.count_include_pad}});
    return emit("AveragePool", "avg_pool", names(in), std::move(attributes));
  }
  std::string translate(const GlobalAvgPoolBackward<float, D>&, const Inputs& in) {
    return emit("Flatten", "flatten", {emit("GlobalAveragePool", "global_avg_pool", names(in))},
                {{"axis", std::int64_t{1}}});
  }
  std::string translate(const UpsampleBackward<float, D>& op, const Inputs& in) {
    const auto scale = static_cast<float>(op.scale);
    const auto scales = initializer(unique("upsample.scales"), {4}, std::vector{1.0f, 1.0f, scale, scale});
    return emit(
        "Resize", "upsample", {value_name(in[0]), "", scales},
        {{"coordinate_transformation_mode", "asymmetric"}, {"mode", "nearest"}, {"nearest_mode", "floor"}});
  }
  std::string translate(const ReshapeBackward<float, D>& op, const Inputs& in) {
    const Shape& y = op.to;
    require(op.from.rank() >= 1 && y.rank() >= 1 && op.from[0] == batch && y[0] == batch,
            "onnx: a reshape of ", value_name(in[0]), " from ", op.from, " to ", y,
            " is not one of each sample for itself");
    if (y.rank() == 2) return emit("Flatten", "flatten", names(in), {{"axis", std::int64_t{1}}});
    std::vector<std::int64_t> extents(y.begin(), y.end());
    extents[0] = 0;  // as in the input
    const auto target = initializer(unique("reshape.shape"), {static_cast<std::int64_t>(y.rank())}, extents);
    return emit("Reshape", "reshape", {value_name(in[0]), target});
  }
  std::string translate(const SoftmaxBackward<float, D>& op, const Inputs& in) {
    return emit(op.logarithm ? "LogSoftmax" : "Softmax", "softmax", names(in),
                {{"axis", static_cast<std::int64_t>(op.dim)}});
  }
  std::string translate(const AddReluBackward<float, D>&, const Inputs& in) {
    refuse_batches(in);
    return emit("Relu", "relu", {emit("Add", "add", names(in))});
  }
  static std::string translate(const DropoutBackward<float, D>&, const Inputs&) {
    return require_inference(false), "";
  }
  static std::string translate(const ReluDropoutBackward<float, D>&, const Inputs&) {
    return require_inference(false), "";
  }
  template <class F>
  std::string translate(const UnaryBackward<F, float, D>&, const Inputs& in) {
    return emit(onnx_operator<F>, lower(onnx_operator<F>), names(in));
  }
  template <class F>
  std::string translate(const BinaryBackward<F, float, D>&, const Inputs& in) {
    refuse_batches(in);
    return emit(onnx_operator<F>, lower(onnx_operator<F>), names(in));
  }

  using Attributes = std::vector<std::pair<std::string, io::onnx::Value>>;

  static std::vector<std::int64_t> ints(std::int64_t a, std::int64_t b) { return {a, b}; }
  static std::vector<std::int64_t> pair(const Extent2d& e) { return {e.height, e.width}; }
  /// ONNX's pads: the beginnings of all axes, then the ends.
  static std::vector<std::int64_t> both_sides(const Extent2d& p) {
    return {p.height, p.width, p.height, p.width};
  }
  static Attributes window(const Pool2dShape& s) {
    return {{"kernel_shape", pair(s.kernel)}, {"pads", both_sides(s.padding)}, {"strides", pair(s.stride)}};
  }
  static std::string lower(std::string s) {
    for (char& c : s) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    return s;
  }
  static void require_inference(bool yes) {
    require(yes, "onnx: the model is in training mode: call set_training(model, false)");
  }
  /// A constant that has a value for each sample of the batch would fix the batch's extent, or repeat
  /// silently.
  void refuse_batches(const Inputs& in) const {
    const auto rank = std::max(in[0].shape().rank(), in[1].shape().rank());
    for (const auto& v : in)
      require(v.node() || &v.value() == input_ || v.shape().rank() < rank || v.shape()[0] != batch,
              "onnx: a constant of shape ", v.shape(), " spans the batch");
  }
  static io::onnx::Port port(const std::string& name, const Shape& shape) {
    io::onnx::Port out{name, {"N"}};
    for (std::size_t i = 1; i < shape.rank(); ++i) out.shape.emplace_back(shape[i]);
    return out;
  }

  /// Appends a node called `name`, whose result has that name too.
  std::string emit(std::string op_type, const std::string& name, std::vector<std::string> inputs,
                   Attributes attributes = {}) {
    const auto own = unique(name);
    model_.graph.nodes.push_back({std::move(op_type), own, std::move(inputs), {own}, std::move(attributes)});
    return own;
  }
  std::string relu_if(bool relu, std::string y, const std::string& layer) {
    return relu ? emit("Relu", layer + ".relu", {std::move(y)}) : y;
  }
  std::string unique(const std::string& name) {
    std::string out = name;
    for (int i = 2; !used_.insert(out).second; ++i) out = text(name, '_', i);
    return out;
  }

  /// The name of the layer that a weight belongs to; `otherwise` if it is no parameter of the model.
  std::string layer_of(const V& weight, const char* otherwise) const {
    const auto it = leaves_.find(&weight.value());
    const auto dot = it == leaves_.end() ? std::string::npos : it->second.rfind('.');
    return dot == std::string::npos ? otherwise : it->second.substr(0, dot);
  }
  std::vector<std::string> names(const Inputs& in) {
    std::vector<std::string> out;
    for (const auto& v : in) out.push_back(value_name(v));
    return out;
  }
  /// What the graph calls a variable: the result of a node, the input, a parameter, or a constant.
  std::string value_name(const V& v) {
    if (v.node()) return values_.at(v.node().get());
    if (&v.value() == input_) {
      used_input_ = true;
      return options_.input;
    }
    const auto [it, is_new] = leaves_.try_emplace(&v.value(), "constant");
    if (is_new) it->second = unique(it->second);
    return constant(it->second, v.value());
  }
  std::string constant(const std::string& name, const Tensor<float, D>& value) {
    return initializer(name, value.shape(), value.to_vector());
  }
  template <class T>
  std::string initializer(const std::string& name, const Shape& shape, std::vector<T> values) {
    if (initialized_.insert(name).second)
      model_.graph.initializers.push_back({name, shape, std::move(values)});
    return name;
  }

  /// Every node that the result depends on, in the order in which they were recorded.
  static std::vector<const Node*> nodes_of(const V& y) {
    std::vector<const Node*> out{y.node().get()};
    std::unordered_set<const Node*> seen(out.begin(), out.end());
    for (std::size_t i = 0; i < out.size(); ++i)
      for (const auto& parent : out[i]->parents())
        if (seen.insert(parent.get()).second) out.push_back(parent.get());
    std::sort(out.begin(), out.end(), [](const Node* a, const Node* b) { return a->order() < b->order(); });
    return out;
  }
  std::string parents_of(const Node& node) const {
    std::string out;
    for (const auto& parent : node.parents())
      out += text(out.empty() ? "'" : ", '", values_.at(parent.get()), "'");
    return out.empty() ? "the input" : out;
  }

  const OnnxOptions& options_;
  io::onnx::Model model_;
  std::unordered_map<const void*, std::string> leaves_;  ///< by the address of the variable's value
  std::unordered_map<const void*, Norm> batch_norms_;    ///< by that of their weight's
  std::unordered_map<const Node*, std::string> values_;  ///< names of the nodes' results
  std::unordered_set<std::string> used_, initialized_;
  const void* input_ = nullptr;
  bool used_input_ = false;
};

}  // namespace detail

/// What `forward(x)` computes from a batch x of samples of shape `sample`, as an ONNX model with the weights
/// of `model` in it: `onnx_model(net, {3, 64, 64}, [&](const auto& x) { return softmax(net(x)); })`. The
/// batch is ONNX's dimension "N". `model` must be in inference mode; its parameters keep their names, and
/// nodes are called by their layers. `forward` runs once, on zeros. Throws ValueError for a model in training
/// mode and for an operation that has no translation.
template <Module M, class Forward>
io::onnx::Model onnx_model(M& model, const Shape& sample, Forward&& forward,
                           const OnnxOptions& options = {}) {
  using V = parameter_type_t<M>;
  using D = typename V::device_type;
  static_assert(std::same_as<V, Variable<float, D>>, "ONNX models are made of models in float");
  Shape shape{detail::OnnxTranslator<D>::batch};
  for (const auto extent : sample) shape.push_back(extent);
  detail::OnnxTranslator<D> translator(model, options);
  const V x(zeros<float, D>(shape), true);  // asks for a gradient: then all that depends on it is recorded
  require(grad_enabled(), "onnx: the forward pass cannot be recorded under NoGrad");
  return translator.run(x, forward(x));
}
template <Module M>
io::onnx::Model onnx_model(M& model, const Shape& sample, const OnnxOptions& options = {}) {
  return onnx_model(
      model, sample, [&](const auto& x) { return model(x); }, options);
}

}  // namespace kfer
