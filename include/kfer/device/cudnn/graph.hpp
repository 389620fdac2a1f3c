// Graph: a composition of operations that cuDNN may run as one kernel.
//
// Tensors are rank 4 with extents N, C, H, W and lie channels-last; a filter's are O, I / groups, KH, KW in
// the same order (OHWI). What only flows from one operation to the next is an intermediate: it is never in
// memory, and is float.
#pragma once

#include <algorithm>
#include <array>
#include <initializer_list>

#include "kfer/core/dtype.hpp"
#include "kfer/device/cudnn/descriptor.hpp"

namespace kfer::cudnn {

template <FloatingElement T>
constexpr cudnnDataType_t data_type() {
  if constexpr (std::same_as<T, float>) return CUDNN_DATA_FLOAT;
  if constexpr (std::same_as<T, double>) return CUDNN_DATA_DOUBLE;
  if constexpr (std::same_as<T, bfloat16>) return CUDNN_DATA_BFLOAT16;
}

/// How a filter moves over its input: height first. The padding is zeros on both sides.
struct Window {
  std::array<std::int64_t, 2> padding{0, 0}, stride{1, 1}, dilation{1, 1};
};

class Graph {
 public:
  using Extents = std::array<std::int64_t, 4>;
  /// A tensor of this graph, by the number under which a run is given its memory.
  struct Value {
    std::int64_t uid;
  };

  /// A tensor in memory. `uid` is the caller's, positive, and once in a graph; the memory starts at a
  /// multiple of 16 bytes.
  Value tensor(std::int64_t uid, const Extents& extents, cudnnDataType_t type) {
    return add(uid, extents, type, false, false);
  }
  /// One number a channel, in memory.
  Value per_channel(std::int64_t uid, std::int64_t channels, cudnnDataType_t type) {
    return tensor(uid, {1, channels, 1, 1}, type);
  }
  /// One number, in host memory.
  Value scalar(std::int64_t uid, cudnnDataType_t type) { return add(uid, {1, 1, 1, 1}, type, false, true); }
  /// What flows between operations.
  Value intermediate(const Extents& extents, cudnnDataType_t type = CUDNN_DATA_FLOAT) {
    return add(next_intermediate_--, extents, type, true, false);
  }

  /// y = x convolved with w. The groups are x's channels by w's.
  void conv_forward(Value x, Value w, Value y, const Window& window) {
    conv(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, window,
         {{CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x},
          {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w},
          {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y}});
  }
  /// dx = the gradient of conv_forward with respect to x.
  void conv_backward_data(Value dy, Value w, Value dx, const Window& window) {
    conv(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, window,
         {{CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, dy},
          {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, w},
          {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, dx}});
  }
  /// dw = the gradient of conv_forward with respect to w.
  void conv_backward_weights(Value dy, Value x, Value dw, const Window& window) {
    conv(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, window,
         {{CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, dy},
          {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, x},
          {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, dw}});
  }

  /// y = mode(x): ReLU, identity (a change of type), ...
  void pointwise(cudnnPointwiseMode_t mode, Value x, Value y) {
    add_pointwise(mode,
                  {{CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x}, {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y}});
  }
  /// y = mode(a, b): sum, product, ...; b may be one number a channel.
  void pointwise(cudnnPointwiseMode_t mode, Value a, Value b, Value y) {
    add_pointwise(mode, {{CUDNN_ATTR_OPERATION_POINTWISE_XDESC, a},
                         {CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b},
                         {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y}});
  }
  /// dx = dy where x > 0, else 0; x may be the ReLU's argument or its result.
  void relu_backward(Value x, Value dy, Value dx) {
    add_pointwise(CUDNN_POINTWISE_RELU_BWD, {{CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x},
                                             {CUDNN_ATTR_OPERATION_POINTWISE_DYDESC, dy},
                                             {CUDNN_ATTR_OPERATION_POINTWISE_DXDESC, dx}});
  }

  /// y = x reduced over every dimension in which y's extent is 1 and x's is not.
  void reduce(cudnnReduceTensorOp_t mode, Value x, Value y) {
    Descriptor reduction(CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
    reduction.set(CUDNN_ATTR_REDUCTION_OPERATOR, mode)
        .set(CUDNN_ATTR_REDUCTION_COMP_TYPE, compute)
        .finalize();
    Descriptor op(CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
    op.set(CUDNN_ATTR_OPERATION_REDUCTION_DESC, reduction);
    add_operation(std::move(op),
                  {{CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x}, {CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y}});
    parameters_.push_back(std::move(reduction));
  }
  /// Each channel's sum and sum of squares over x: what a batch norm needs of it.
  void channel_statistics(Value x, Value sum, Value sum_of_squares) {
    Descriptor op(CUDNN_BACKEND_OPERATION_GEN_STATS_DESCRIPTOR);
    op.set(CUDNN_ATTR_OPERATION_GENSTATS_MODE, CUDNN_GENSTATS_SUM_SQSUM)
        .set(CUDNN_ATTR_OPERATION_GENSTATS_MATH_PREC, compute);
    add_operation(std::move(op), {{CUDNN_ATTR_OPERATION_GENSTATS_XDESC, x},
                                  {CUDNN_ATTR_OPERATION_GENSTATS_SUMDESC, sum},
                                  {CUDNN_ATTR_OPERATION_GENSTATS_SQSUMDESC, sum_of_squares}});
  }

  struct BatchNormTrain {
    Value x, scale, bias;
    Value epsilon, momentum;  ///< scalars; the momentum is the share of the new batch
    Value running_mean, running_variance, next_running_mean, next_running_variance;
    Value mean, inverse_deviation;  ///< kept for backward
    Value y;
  };
  void batch_norm_train(const BatchNormTrain& t) {
    Descriptor op(CUDNN_BACKEND_OPERATION_NORM_FORWARD_DESCRIPTOR);
    op.set(CUDNN_ATTR_OPERATION_NORM_FWD_MODE, CUDNN_BATCH_NORM)
        .set(CUDNN_ATTR_OPERATION_NORM_FWD_PHASE, CUDNN_NORM_FWD_TRAINING);
    add_operation(std::move(op),
                  {{CUDNN_ATTR_OPERATION_NORM_FWD_XDESC, t.x},
                   {CUDNN_ATTR_OPERATION_NORM_FWD_SCALE_DESC, t.scale},
                   {CUDNN_ATTR_OPERATION_NORM_FWD_BIAS_DESC, t.bias},
                   {CUDNN_ATTR_OPERATION_NORM_FWD_EPSILON_DESC, t.epsilon},
                   {CUDNN_ATTR_OPERATION_NORM_FWD_EXP_AVG_FACTOR_DESC, t.momentum},
                   {CUDNN_ATTR_OPERATION_NORM_FWD_INPUT_RUNNING_MEAN_DESC, t.running_mean},
                   {CUDNN_ATTR_OPERATION_NORM_FWD_INPUT_RUNNING_VAR_DESC, t.running_variance},
                   {CUDNN_ATTR_OPERATION_NORM_FWD_OUTPUT_RUNNING_MEAN_DESC, t.next_running_mean},
                   {CUDNN_ATTR_OPERATION_NORM_FWD_OUTPUT_RUNNING_VAR_DESC, t.next_running_variance},
                   {CUDNN_ATTR_OPERATION_NORM_FWD_MEAN_DESC, t.mean},
                   {CUDNN_ATTR_OPERATION_NORM_FWD_INV_VARIANCE_DESC, t.inverse_deviation},
                   {CUDNN_ATTR_OPERATION_NORM_FWD_YDESC, t.y}});
  }
  struct BatchNormBackward {
    Value x, mean, inverse_deviation, dy, scale, dscale, dbias, dx;
  };
  void batch_norm_backward(const BatchNormBackward& t) {
    Descriptor op(CUDNN_BACKEND_OPERATION_NORM_BACKWARD_DESCRIPTOR);
    op.set(CUDNN_ATTR_OPERATION_NORM_BWD_MODE, CUDNN_BATCH_NORM);
    add_operation(std::move(op), {{CUDNN_ATTR_OPERATION_NORM_BWD_XDESC, t.x},
                                  {CUDNN_ATTR_OPERATION_NORM_BWD_MEAN_DESC, t.mean},
                                  {CUDNN_ATTR_OPERATION_NORM_BWD_INV_VARIANCE_DESC, t.inverse_deviation},
                                  {CUDNN_ATTR_OPERATION_NORM_BWD_DYDESC, t.dy},
                                  {CUDNN_ATTR_OPERATION_NORM_BWD_SCALE_DESC, t.scale},
                                  {CUDNN_ATTR_OPERATION_NORM_BWD_DSCALE_DESC, t.dscale},
                                  {CUDNN_ATTR_OPERATION_NORM_BWD_DBIAS_DESC, t.dbias},
                                  {CUDNN_ATTR_OPERATION_NORM_BWD_DXDESC, t.dx}});
  }

  /// The operations, in the order in which they were added; not finalised yet.
  std::vector<Descriptor>& operations() { return operations_; }

 private:
  static constexpr cudnnDataType_t compute = CUDNN_DATA_FLOAT;  ///< of every operation, as of its sums
  // A ReLU that turns a NaN into 0 would hide a training that diverges. CUDNN_ATTR_POINTWISE_NAN_PROPAGATION
  // and CUDNN_PROPAGATE_NAN, by number since their names are deprecated.
  static constexpr auto nan_propagation = static_cast<cudnnBackendAttributeName_t>(2);
  static constexpr auto propagate = static_cast<cudnnNanPropagation_t>(1);

  struct Tensor {
    std::int64_t uid;
    Descriptor descriptor;
  };

  Value add(std::int64_t uid, const Extents& e, cudnnDataType_t type, bool is_virtual, bool by_value) {
    require(std::ranges::find(tensors_, uid, &Tensor::uid) == tensors_.end(),
            "cudnn: a graph has two tensors ", uid);
    const Extents strides{e[1] * e[2] * e[3], 1, e[1] * e[3], e[1]};
    Descriptor d(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    d.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, uid)
        .set(CUDNN_ATTR_TENSOR_DATA_TYPE, type)
        .set(CUDNN_ATTR_TENSOR_DIMENSIONS, e)
        .set(CUDNN_ATTR_TENSOR_STRIDES, strides)
        .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, std::int64_t{16})
        .set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, is_virtual)
        .set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, by_value)
        .finalize();
    tensors_.push_back({uid, std::move(d)});
    return {uid};
  }
  const Descriptor& at(Value value) const {
    const auto found = std::ranges::find(tensors_, value.uid, &Tensor::uid);
    require(found != tensors_.end(), "cudnn: a graph has no tensor ", value.uid);
    return found->descriptor;
  }
  using Values = std::initializer_list<std::pair<Descriptor::Attribute, Value>>;

  void add_operation(Descriptor op, const Values& values) {
    for (const auto& [attribute, value] : values) op.set(attribute, at(value));
    operations_.push_back(std::move(op));
  }
  void conv(Descriptor::Kind kind, Descriptor::Attribute alpha, Descriptor::Attribute beta,
            Descriptor::Attribute conv_desc, const Window& window, const Values& values) {
    Descriptor c(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    c.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, compute)
        .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION)
        .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, std::int64_t{2})
        .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, window.padding)
        .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, window.padding)
        .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, window.stride)
        .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, window.dilation)
        .finalize();
    Descriptor op(kind);
    op.set(alpha, 1.f).set(beta, 0.f).set(conv_desc, c);
    add_operation(std::move(op), values);
    parameters_.push_back(std::move(c));
  }
  void add_pointwise(cudnnPointwiseMode_t mode, const Values& values) {
    Descriptor pointwise(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    pointwise.set(CUDNN_ATTR_POINTWISE_MODE, mode).set(CUDNN_ATTR_POINTWISE_MATH_PREC, compute);
    if (mode == CUDNN_POINTWISE_RELU_FWD) pointwise.set(nan_propagation, propagate);
    pointwise.finalize();
    Descriptor op(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    op.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, pointwise);
    add_operation(std::move(op), values);
    parameters_.push_back(std::move(pointwise));
  }

  std::vector<Tensor> tensors_;
  std::vector<Descriptor> parameters_;  ///< of operations
  std::vector<Descriptor> operations_;
  std::int64_t next_intermediate_ = -1;
};

}  // namespace kfer::cudnn
