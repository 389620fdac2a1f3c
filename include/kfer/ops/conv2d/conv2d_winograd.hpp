// 2-D convolution by Winograd's minimal filtering, where it needs fewer operations than it costs: between
// tensors and the passes in winograd_cpu.hpp.
#pragma once

#include <optional>

#include "kfer/ops/conv2d/conv2d_dnnl.hpp"
#include "kfer/ops/conv2d/winograd_cpu.hpp"

namespace kfer::detail {

struct ConvWinograd {
  using Tn = Tensor<float, Cpu>;
  static constexpr int B = simd_width;

  /// Outputs a side of one tile, if Winograd is to do this pass; see winograd::choose_tile.
  static std::optional<int> tile(const Conv2dShape& s, winograd::Pass pass) {
    if (s.stride != Extent2d(1) || s.dilation != Extent2d(1) || s.groups != 1 ||
        s.kernel_height != s.kernel_width || s.padding.height != s.padding.width)
      return std::nullopt;
    return winograd::choose_tile(winograd_shape(s), pass);
  }

  /// Blocks of B inputs by B outputs, the order that the direct convolution keeps its weights in too.
  static Layout weight_layout() { return Layout({0, 1, 2, 3}, {{1, B}, {0, B}}); }

  /// `at_rest`: transformed weights may be kept with w. They are if a core's own cache holds them: larger
  /// ones are several times the weights, and to read them from memory takes as long as to make them anew
  /// where they are multiplied (measured: to keep all of ResNet-50's, 100 MB, gains nothing for 1 and 16
  /// images of 64x64, 3 % for 64).
  static Tn forward(int tile, const Conv2dShape& s, const Tn& x, const Tn& w, const Tn* bias,
                    const Tn* residual, bool relu, bool at_rest) {
    const Tn rest = residual ? residual->to(Layout::channel_blocked(B)) : Tn();
    const Tn source = x.to(Layout::channel_blocked(B)), weight = w.to(weight_layout());
    Tn y(s.output(), Layout::channel_blocked(B));
    winograd::with_tile(tile, s.kernel_height, [&]<int M, int R>() {
      const auto shape = winograd_shape(s);
      const Workspace workspace(winograd::workspace_floats<M, R>(shape));
      const winograd::Load<B> load{source.data()};
      const winograd::BlockedWeights<B> weights{weight.data()};
      float* out = y.mutable_data();
      const auto run = [&](const auto& u) {
        const float* b = bias ? bias->data() : nullptr;
        if (residual)
          winograd::forward<M, R>(shape, load, u, b, out, workspace.span(),
                                  winograd::AddTo<B>{rest.data(), relu ? 0 : -winograd::infinity});
        else if (relu)
          winograd::forward<M, R>(shape, load, u, b, out, workspace.span(), winograd::Relu{});
        else
          winograd::forward<M, R>(shape, load, u, b, out, workspace.span());
      };
      const std::int64_t floats = winograd::transformed_floats<M, R>(shape, winograd::Pass::forward);
      if (!at_rest || floats > most_kept) return run(weights);
      const auto kept = weight.template derived<Tn>(Transformed{M}, [&] {
        Tn u({floats});
        winograd::transform_weights<M, R>(shape, winograd::Pass::forward, weights,
                                          {u.mutable_data(), static_cast<std::size_t>(floats)});
        return u;
      });
      run(winograd::TransformedWeights{kept->data()});
    });
    return y;
  }

  static Tn backward_data(int tile, const Conv2dShape& s, const Tn& w, const Tn& dy) {
    const Tn g = dy.to(Layout::channel_blocked(B)), weight = w.to(weight_layout());
    Tn dx(s.input(), Layout::channel_blocked(B));
    winograd::with_tile(tile, s.kernel_height, [&]<int M, int R>() {
      const auto shape = winograd_shape(s);
      const Workspace workspace(winograd::workspace_floats<M, R>(shape));
      winograd::backward_data<M, R>(shape, winograd::Load<B>{g.data()},
                                    winograd::BlockedWeights<B>{weight.data()}, dx.mutable_data(),
                                    workspace.span());
    });
    return dx;
  }

  static std::pair<Tn, Tn> backward_weights(int tile, const Conv2dShape& s, const Tn& x, const Tn& dy,
                                            bool bias) {
    const Tn source = x.to(Layout::channel_blocked(B)), g = dy.to(Layout::channel_blocked(B));
    Tn dw(s.weight(), weight_layout()), db;
    if (bias) db = Tn({s.out_channels});
    winograd::with_tile(tile, s.kernel_height, [&]<int M, int R>() {
      const auto shape = winograd_shape(s);
      const Workspace workspace(winograd::workspace_floats<M, R>(shape));
      winograd::backward_weights<M, R>(shape, winograd::Load<B>{source.data()}, winograd::Load<B>{g.data()},
                                       winograd::BlockedWeights<B, float>{dw.mutable_data()},
                                       bias ? db.mutable_data() : nullptr, workspace.span());
    });
    return {std::move(dw), std::move(db)};
  }

 private:
  static constexpr std::int64_t most_kept = 1 << 18;  // floats

  /// Names transformed weights among what is kept with weights.
  struct Transformed {
    int tile;
    bool operator==(const Transformed&) const = default;
  };

  struct Workspace {
    explicit Workspace(std::int64_t floats)
        : size(static_cast<std::size_t>(floats)), buffer(std::max<std::size_t>(size, 1) * sizeof(float)) {}
    std::span<float> span() const { return {static_cast<float*>(buffer.data()), size}; }
    std::size_t size;
    Buffer<Cpu> buffer;
  };

  static winograd::ConvShape winograd_shape(const Conv2dShape& s) {
    return {s.batch, s.in_channels, s.out_channels, s.height, s.width, s.kernel_height, s.padding.height};
  }
};

}  // namespace kfer::detail
