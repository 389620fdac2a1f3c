// oneDNN, the Cpu's convolution library: the only file of kfer that knows its API, in versions 2 and 3.
//
// Tensors cross over with their memory order: a Layout becomes a memory descriptor and back, so blocked
// activations and weights pass from one operation to the next without a copy.
#pragma once

#include <oneapi/dnnl/dnnl.hpp>

#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kfer/core/layout.hpp"
#include "kfer/device/cpu.hpp"

namespace kfer::onednn {

using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;

inline dnnl::engine& engine() {
  static dnnl::engine e(dnnl::engine::kind::cpu, 0);
  return e;
}
inline dnnl::stream& stream() {
  static dnnl::stream s(engine());
  return s;
}

inline Dims dims(const Shape& shape) {
  return Dims(shape.begin(), shape.end());
}

/// The blocked orders that oneDNN's float convolutions on x86 ask for.
inline const std::vector<std::pair<Layout, Tag>>& blocked_layouts() {
  static const std::vector<std::pair<Layout, Tag>> table = [] {
    const auto two = [](int outer, int inner, std::uint8_t size) {
      return Layout({0, 1, 2, 3},
                    {{static_cast<std::uint8_t>(outer), size}, {static_cast<std::uint8_t>(inner), size}});
    };
    return std::vector<std::pair<Layout, Tag>>{
        {Layout::channel_blocked(8), Tag::nChw8c},
        {Layout::channel_blocked(16), Tag::nChw16c},
        {two(1, 0, 8), Tag::OIhw8i8o},
        {two(1, 0, 16), Tag::OIhw16i16o},
        {two(0, 1, 8), Tag::OIhw8o8i},
        {two(0, 1, 16), Tag::OIhw16o16i},
        {Layout({1, 0, 2, 3}, {{0, 16}, {1, 16}}), Tag::IOhw16o16i},
        {Layout({1, 0, 2, 3}, {{1, 16}, {0, 16}}), Tag::IOhw16i16o},
        {Layout({0, 2, 3, 1}, {{0, 8}}), Tag::Ohwi8o},
        {Layout({0, 2, 3, 1}, {{0, 16}}), Tag::Ohwi16o},
    };
  }();
  return table;
}

/// The descriptor of a float tensor of this shape and order. Throws ValueError for an order that oneDNN
/// cannot name.
inline Desc desc(const Shape& shape, const Layout& layout) {
  if (layout.block_count() == 0) {
    Dims strides(shape.rank());
    std::int64_t step = 1;
    for (std::size_t k = shape.rank(); k-- > 0;) {
      strides[layout.order(k)] = step;
      step *= std::max<std::int64_t>(shape[layout.order(k)], 1);
    }
    return Desc(dims(shape), dnnl::memory::data_type::f32, strides);
  }
  for (const auto& [known, tag] : blocked_layouts())
    if (known == layout) return Desc(dims(shape), dnnl::memory::data_type::f32, tag);
  throw ValueError(text("oneDNN has no name for the layout ", layout));
}
inline Desc desc(const Shape& shape, Tag tag) {
  return Desc(dims(shape), dnnl::memory::data_type::f32, tag);
}
/// "You choose."
inline Desc any(const Shape& shape) {
  return desc(shape, Tag::any);
}

/// The layout that a descriptor chosen by oneDNN stands for, if kfer has a name for it.
inline std::optional<Layout> layout_of(const Shape& shape, const Desc& chosen) {
  if (chosen == desc(shape, Layout::row_major(shape.rank()))) return Layout::row_major(shape.rank());
  if (shape.rank() != 4) return std::nullopt;
  for (const auto& [layout, tag] : blocked_layouts())
    if (chosen == desc(shape, tag)) return layout;
  if (chosen == desc(shape, Layout::channels_last())) return Layout::channels_last();
  return std::nullopt;
}

inline dnnl::memory memory(const Desc& d, const void* data) {
  return dnnl::memory(d, engine(), const_cast<void*>(data));
}

/// Attributes with which every primitive of kfer is made: scratch memory comes from kfer's allocator. What is
/// done to the result: `residual` is added, a tensor like it (DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) |
/// DNNL_ARG_SRC_1); then ReLU.
inline dnnl::primitive_attr attributes(bool relu = false, const Desc* residual = nullptr) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops ops;
  if (residual) ops.append_binary(dnnl::algorithm::binary_add, *residual);
#if DNNL_VERSION_MAJOR >= 3
  if (relu) ops.append_eltwise(dnnl::algorithm::eltwise_relu, 0.f, 0.f);
#else
  if (relu) ops.append_eltwise(1.f, dnnl::algorithm::eltwise_relu, 0.f, 0.f);
#endif
  attr.set_post_ops(ops);
  return attr;
}

/// Runs a primitive to its end. `scratch` is the descriptor of its scratchpad.
inline void run(const dnnl::primitive& primitive, const Desc& scratch,
                std::unordered_map<int, dnnl::memory> arguments) {
  const Buffer<Cpu> workspace(std::max<std::size_t>(scratch.get_size(), 64));
  arguments.emplace(DNNL_ARG_SCRATCHPAD, memory(scratch, workspace.data()));
  primitive.execute(stream(), arguments);
  stream().wait();
}

/// Copies from one descriptor's order to another's.
inline void reorder(const Desc& from, const void* source, const Desc& to, void* target) {
  dnnl::memory a = memory(from, source), b = memory(to, target);
  const dnnl::reorder::primitive_desc pd(a, b, attributes());
  run(dnnl::reorder(pd), pd.scratchpad_desc(), {{DNNL_ARG_FROM, a}, {DNNL_ARG_TO, b}});
}

/// Whether oneDNN fell back to its plain loops, which are hundreds of times slower.
template <class PrimitiveDesc>
bool is_reference(const PrimitiveDesc& pd) {
  return std::string_view(pd.impl_info_str()).find("ref") != std::string_view::npos;
}

struct ConvDescs {
  Desc x, w, bias, y;  ///< bias of size zero: none
  Dims stride, dilation, padding;
};

#if DNNL_VERSION_MAJOR >= 3
inline auto conv_forward(const ConvDescs& d, const dnnl::primitive_attr& attr) {
  return dnnl::convolution_forward::primitive_desc(engine(), dnnl::prop_kind::forward_training,
                                                   dnnl::algorithm::convolution_direct, d.x, d.w, d.bias, d.y,
                                                   d.stride, d.dilation, d.padding, d.padding, attr);
}
inline auto conv_backward_data(const ConvDescs& d, const dnnl::convolution_forward::primitive_desc& hint) {
  return dnnl::convolution_backward_data::primitive_desc(engine(), dnnl::algorithm::convolution_direct, d.x,
                                                         d.w, d.y, d.stride, d.dilation, d.padding, d.padding,
                                                         hint, attributes());
}
inline auto conv_backward_weights(const ConvDescs& d, const dnnl::convolution_forward::primitive_desc& hint) {
  return dnnl::convolution_backward_weights::primitive_desc(engine(), dnnl::algorithm::convolution_direct,
                                                            d.x, d.w, d.bias, d.y, d.stride, d.dilation,
                                                            d.padding, d.padding, hint, attributes());
}
#else
inline auto conv_forward(const ConvDescs& d, const dnnl::primitive_attr& attr) {
  const dnnl::convolution_forward::desc op(dnnl::prop_kind::forward_training,
                                           dnnl::algorithm::convolution_direct, d.x, d.w, d.bias, d.y,
                                           d.stride, d.dilation, d.padding, d.padding);
  return dnnl::convolution_forward::primitive_desc(op, attr, engine());
}
inline auto conv_backward_data(const ConvDescs& d, const dnnl::convolution_forward::primitive_desc& hint) {
  const dnnl::convolution_backward_data::desc op(dnnl::algorithm::convolution_direct, d.x, d.w, d.y, d.stride,
                                                 d.dilation, d.padding, d.padding);
  return dnnl::convolution_backward_data::primitive_desc(op, attributes(), engine(), hint);
}
inline auto conv_backward_weights(const ConvDescs& d, const dnnl::convolution_forward::primitive_desc& hint) {
  const dnnl::convolution_backward_weights::desc op(dnnl::algorithm::convolution_direct, d.x, d.w, d.bias,
                                                    d.y, d.stride, d.dilation, d.padding, d.padding);
  return dnnl::convolution_backward_weights::primitive_desc(op, attributes(), engine(), hint);
}
#endif

}  // namespace kfer::onednn
