// 2-D convolution by oneDNN: primitives made once for each shape and kept, in the memory orders that suit
// them.
#pragma once

#include <array>
#include <mutex>
#include <unordered_map>

#include "kfer/core/simd.hpp"
#include "kfer/device/cpu_dnnl.hpp"
#include "kfer/ops/conv2d/conv2d.hpp"
#include "kfer/ops/elementwise/binary_cpu.hpp"
#include "kfer/tensor/relayout.hpp"

namespace kfer::detail {

/// The order in which the Cpu keeps activations with this many channels: blocked by one vector if that fits
/// evenly.
inline Layout activation_layout(std::int64_t channels) {
  return channels % simd_width == 0 && channels > 0 ? Layout::channel_blocked(simd_width)
                                                    : Layout::row_major(4);
}

/// One pass (forward, backward data or backward weights) of one convolution, ready to run.
template <class PrimitiveDesc, class Primitive>
struct ConvPass {
  Layout x, y;
  PrimitiveDesc pd;
  Primitive primitive;
};

/// What a forward pass does to its sums, in this order.
struct ConvEpilogue {
  bool bias = false, residual = false, relu = false;
};

/// The three passes of one convolution. Backward passes are made when first asked for.
class ConvPlan {
 public:
  using Forward = ConvPass<dnnl::convolution_forward::primitive_desc, dnnl::convolution_forward>;
  using BackwardData =
      ConvPass<dnnl::convolution_backward_data::primitive_desc, dnnl::convolution_backward_data>;
  using BackwardWeights =
      ConvPass<dnnl::convolution_backward_weights::primitive_desc, dnnl::convolution_backward_weights>;

  ConvPlan(const Conv2dShape& shape, const ConvEpilogue& epilogue)
      : shape_(shape), bias_(epilogue.bias), forward_(best<Forward>([&](const Layout& x, const Layout& y) {
          const onednn::ConvDescs d = descs(x, y);
          return onednn::conv_forward(d,
                                      onednn::attributes(epilogue.relu, epilogue.residual ? &d.y : nullptr));
        })) {
    if (shape.groups == 1)
      weight_layout_ =
          onednn::layout_of(shape.weight(), forward_.pd.weights_desc()).value_or(Layout::row_major(4));
  }

  const Forward& forward() const { return forward_; }
  const BackwardData& backward_data() {
    const std::lock_guard lock(mutex_);
    if (!backward_data_)
      backward_data_ = best<BackwardData>([&](const Layout& x, const Layout& y) {
        return onednn::conv_backward_data(descs(x, y), hint(x, y));
      });
    return *backward_data_;
  }
  const BackwardWeights& backward_weights() {
    const std::lock_guard lock(mutex_);
    if (!backward_weights_)
      backward_weights_ = best<BackwardWeights>([&](const Layout& x, const Layout& y) {
        return onednn::conv_backward_weights(descs(x, y), hint(x, y));
      });
    return *backward_weights_;
  }
  /// The order in which the weights are kept between steps.
  const Layout& weight_layout() const { return weight_layout_; }
  /// The descriptor of weights kept in `layout`, seen as oneDNN sees them (with a dimension for the groups).
  onednn::Desc weight_desc(const Layout& layout) const {
    return shape_.groups == 1 ? onednn::desc(shape_.weight(), layout)
                              : onednn::desc(weight_shape(), Layout::row_major(5));
  }

 private:
  Shape weight_shape() const {
    const Shape w = shape_.weight();
    return shape_.groups == 1 ? w : Shape{shape_.groups, w[0] / shape_.groups, w[1], w[2], w[3]};
  }
  onednn::ConvDescs descs(const Layout& x, const Layout& y) const {
    return {onednn::desc(shape_.input(), x),
            onednn::any(weight_shape()),
            bias_ ? onednn::desc({shape_.out_channels}, Layout::row_major(1)) : onednn::Desc(),
            onednn::desc(shape_.output(), y),
            {shape_.stride.height, shape_.stride.width},
            {shape_.dilation.height - 1, shape_.dilation.width - 1},
            {shape_.padding.height, shape_.padding.width}};
  }
  dnnl::convolution_forward::primitive_desc hint(const Layout& x, const Layout& y) const {
    return onednn::conv_forward(descs(x, y), onednn::attributes());
  }
  /// Makes the pass in the preferred orders, or in plain ones where oneDNN has only its reference loops for
  /// those.
  template <class Pass, class Make>
  Pass best(const Make& make) const {
    const Layout plain = Layout::row_major(4);
    const std::array<std::pair<Layout, Layout>, 2> choices{
        {{activation_layout(shape_.in_channels), activation_layout(shape_.out_channels)}, {plain, plain}}};
    std::optional<Pass> fallback;
    for (const auto& [x, y] : choices) {
      auto pd = make(x, y);
      const bool slow = onednn::is_reference(pd);
      if (slow && fallback) continue;
      Pass pass{x, y, pd, {pd}};
      if (!slow) return pass;
      fallback = std::move(pass);
    }
    return *std::move(fallback);
  }

  Conv2dShape shape_;
  bool bias_;
  Forward forward_;
  std::mutex mutex_;  ///< guards the making of backward passes: threads share a plan
  std::optional<BackwardData> backward_data_;
  std::optional<BackwardWeights> backward_weights_;
  Layout weight_layout_ = Layout::row_major(4);
};

/// The plan of a convolution, made at its first use.
inline std::shared_ptr<ConvPlan> conv_plan(const Conv2dShape& s, const ConvEpilogue& epilogue = {}) {
  using Key = std::array<std::int64_t, 19>;
  struct Hash {
    std::size_t operator()(const Key& key) const {
      std::size_t h = 0;
      for (const auto k : key) h = (h ^ static_cast<std::size_t>(k)) * 0x9E3779B97F4A7C15u + (h >> 29);
      return h;
    }
  };
  static std::mutex mutex;
  static std::unordered_map<Key, std::shared_ptr<ConvPlan>, Hash> plans;
  constexpr std::size_t most =
      4096;  // a plan holds generated code: a program that sees ever new shapes must not grow
  const Key key{s.batch,           s.in_channels,     s.height,         s.width,        s.out_channels,
                s.kernel_height,   s.kernel_width,    s.stride.height,  s.stride.width, s.padding.height,
                s.padding.width,   s.dilation.height, s.dilation.width, s.groups,       epilogue.bias,
                epilogue.residual, epilogue.relu,     num_threads()};
  std::lock_guard lock(mutex);
  if (plans.size() >= most) plans.clear();
  auto& plan = plans[key];
  if (!plan) plan = std::make_shared<ConvPlan>(s, epilogue);
  return plan;
}

/// Float convolution by oneDNN, without dropout.
struct ConvDnnl {
  using Tn = Tensor<float, Cpu>;

  static Layout weight_layout(const Conv2dShape& s) { return conv_plan(s)->weight_layout(); }

  static Tn forward(const Conv2dShape& s, const Tn& x, const Tn& w, const Tn* bias, const Tn* residual,
                    bool relu) {
    const auto plan = conv_plan(s, {.bias = bias != nullptr, .residual = residual != nullptr, .relu = relu});
    const auto& pass = plan->forward();
    if (residual &&
        pass.y.block_count() == 0)  // oneDNN adds a tensor slowly behind all but its blocked convolutions
      return add_residual(forward(s, x, w, bias, nullptr, false), *residual, relu);
    const Tn source = x.to(pass.x), rest = residual ? residual->to(pass.y) : Tn();
    const Weights weights(*plan, w, pass.pd.weights_desc());
    Tn y(s.output(), pass.y);
    std::unordered_map<int, dnnl::memory> arguments{
        {DNNL_ARG_SRC, onednn::memory(pass.pd.src_desc(), source.data())},
        {DNNL_ARG_WEIGHTS, weights.memory},
        {DNNL_ARG_DST, onednn::memory(pass.pd.dst_desc(), y.mutable_data())}};
    if (bias) arguments.emplace(DNNL_ARG_BIAS, onednn::memory(pass.pd.bias_desc(), bias->data()));
    if (residual)
      arguments.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1,
                        onednn::memory(pass.pd.dst_desc(), rest.data()));
    onednn::run(pass.primitive, pass.pd.scratchpad_desc(), std::move(arguments));
    return y;
  }

  static Tn backward_data(const Conv2dShape& s, const Tn& w, const Tn& dy) {
    const auto plan = conv_plan(s);
    const auto& pass = plan->backward_data();
    const Tn g = dy.to(pass.y);
    const Weights weights(*plan, w, pass.pd.weights_desc());
    Tn dx(s.input(), pass.x);
    onednn::run(pass.primitive, pass.pd.scratchpad_desc(),
                {{DNNL_ARG_DIFF_DST, onednn::memory(pass.pd.diff_dst_desc(), g.data())},
                 {DNNL_ARG_WEIGHTS, weights.memory},
                 {DNNL_ARG_DIFF_SRC, onednn::memory(pass.pd.diff_src_desc(), dx.mutable_data())}});
    return dx;
  }

  /// {dw, db}; db is left empty unless `bias`.
  static std::pair<Tn, Tn> backward_weights(const Conv2dShape& s, const Tn& x, const Tn& dy, bool bias) {
    const auto plan = conv_plan(s, {.bias = bias});
    const auto& pass = plan->backward_weights();
    const Tn source = x.to(pass.x), g = dy.to(pass.y);
    const onednn::Desc chosen = pass.pd.diff_weights_desc(), kept = plan->weight_desc(plan->weight_layout());
    Tn dw(s.weight(), plan->weight_layout()), db;
    std::optional<Buffer<Cpu>> temporary;
    if (chosen != kept) temporary.emplace(chosen.get_size());
    std::unordered_map<int, dnnl::memory> arguments{
        {DNNL_ARG_SRC, onednn::memory(pass.pd.src_desc(), source.data())},
        {DNNL_ARG_DIFF_DST, onednn::memory(pass.pd.diff_dst_desc(), g.data())},
        {DNNL_ARG_DIFF_WEIGHTS, onednn::memory(chosen, temporary ? temporary->data() : dw.mutable_data())}};
    if (bias) {
      db = Tn({s.out_channels});
      arguments.emplace(DNNL_ARG_DIFF_BIAS, onednn::memory(pass.pd.diff_bias_desc(), db.mutable_data()));
    }
    onednn::run(pass.primitive, pass.pd.scratchpad_desc(), std::move(arguments));
    if (temporary) onednn::reorder(chosen, temporary->data(), kept, dw.mutable_data());
    return {std::move(dw), std::move(db)};
  }

 private:
  /// Weights in the order that a pass wants: as they are, or copied.
  struct Weights {
    Weights(const ConvPlan& plan, const Tn& w, const onednn::Desc& wanted) : tensor(w) {
      const bool named = plan.weight_desc(w.layout()) == wanted;
      if (!named) {
        if (w.layout().block_count() == 0 && !w.layout().is_row_major()) tensor = w.row_major();
        copy.emplace(wanted.get_size());
        onednn::reorder(plan.weight_desc(tensor.layout()), tensor.data(), wanted, copy->data());
      }
      memory = onednn::memory(wanted, copy ? copy->data() : tensor.data());
    }
    Tn tensor;
    std::optional<Buffer<Cpu>> copy;
    dnnl::memory memory;
  };
};

}  // namespace kfer::detail
