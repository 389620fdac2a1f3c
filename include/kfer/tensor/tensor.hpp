// Tensor: a dense array of run-time shape on a device, with value semantics.
//
// A copy is cheap (storage is shared) and yet independent: the first write through one of the owners gives
// that owner a storage of its own. So `auto best = model.weight;` is a snapshot that later training steps
// leave alone.
#pragma once

#include <algorithm>
#include <atomic>
#include <concepts>
#include <memory>
#include <mutex>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "kfer/core/layout.hpp"
#include "kfer/core/parallel.hpp"
#include "kfer/core/shape.hpp"
#include "kfer/device/device.hpp"
#include "kfer/fwd.hpp"

namespace kfer {

/// Copies a tensor's elements into another memory order. Devices specialise it where they have something
/// faster than one element at a time; see tensor/relayout.hpp for the Cpu.
template <Element T, class D>
struct relayout_impl;

namespace detail {

/// What was computed from a tensor; see Tensor::derived.
struct Derived {
  virtual ~Derived() = default;
};
template <class V, class Key>
struct DerivedOf final : Derived {
  template <class Make>
  DerivedOf(const Key& k, const Make& make) : key(k), value(make()) {}
  Key key;
  V value;
};

/// Device memory, and what was derived last from what it holds.
template <class D>
class Storage : public Buffer<D> {
 public:
  using Buffer<D>::Buffer;

  std::shared_ptr<const Derived> derived() const {
    const std::lock_guard lock(mutex_);
    return derived_;
  }
  void keep(std::shared_ptr<const Derived> derived) {
    const std::lock_guard lock(mutex_);
    derived_.swap(derived);
  }
  /// For the only owner, before it writes.
  void forget() {
    if (derived_) derived_.reset();
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Derived> derived_;
};

}  // namespace detail

/// T: element type. D: device tag. Rank at most 8. A default-constructed tensor is empty: shape [0], no
/// memory.
template <Element T, class D>
class Tensor {
 public:
  using value_type = T;
  using device_type = D;

  Tensor() : shape_({0}), layout_(Layout::row_major(1)) {}
  Tensor(const Tensor&) = default;
  Tensor& operator=(const Tensor&) = default;
  /// What was moved from is empty, as if default-constructed.
  Tensor(Tensor&& other) noexcept : Tensor() { swap(other); }
  Tensor& operator=(Tensor&& other) noexcept {
    Tensor(std::move(other)).swap(*this);
    return *this;
  }

  /// Uninitialised elements, in row-major order or the given layout. Padding that the layout adds is zero.
  explicit Tensor(const Shape& shape) : Tensor(shape, Layout::row_major(shape.rank())) {}
  Tensor(const Shape& shape, const Layout& layout) : shape_(shape), layout_(layout) {
    require<ShapeError>(layout.rank() == shape.rank(), "layout ", layout, " has rank ", layout.rank(),
                        ", shape ", shape, " has rank ", shape.rank());
    const std::int64_t n = layout.storage_size(shape);
    std::int64_t bytes = 0;
    require<ShapeError>(!__builtin_mul_overflow(n, std::int64_t{sizeof(T)}, &bytes), "a tensor of shape ",
                        shape, " does not fit 64-bit sizes");
    if (bytes) buffer_ = std::make_shared<detail::Storage<D>>(static_cast<std::size_t>(bytes));
    if (n != shape.numel()) D::set_zero(buffer_->data(), static_cast<std::size_t>(bytes));
  }
  /// Row-major elements copied from the host. Throws ShapeError unless there are exactly shape.numel() of
  /// them.
  Tensor(const Shape& shape, std::span<const T> values) : Tensor(of_size(shape, values.size())) {
    if (!values.empty()) D::copy_from_host(buffer_->data(), values.data(), values.size_bytes());
  }
  Tensor(const Shape& shape, std::initializer_list<T> values)
      : Tensor(shape, std::span<const T>(values.begin(), values.size())) {}
  template <Element U, class E>
  requires(!(std::same_as<T, U> && std::same_as<D, E>)) Tensor(const Tensor<U, E>&)
  = delete;  // element types and devices never convert silently: use cast<T>()

  const Shape& shape() const { return shape_; }
  std::size_t rank() const { return shape_.rank(); }
  /// Extent of dimension `dim`; negative counts from the end.
  std::int64_t size(std::int64_t dim) const { return shape_.at(dim); }
  std::int64_t numel() const { return shape_.numel(); }
  const Layout& layout() const { return layout_; }
  /// Elements in memory, padding of the layout included.
  std::int64_t storage_size() const { return layout_.storage_size(shape_); }

  /// Device memory, in the order of `layout()`.
  const T* data() const { return buffer_ ? static_cast<const T*>(buffer_->data()) + offset_ : nullptr; }
  /// The same for writing: takes a storage of its own first if it is shared with other tensors. To be used at
  /// once: not after the tensor was copied, nor after an operation read it.
  T* mutable_data() {
    if (!is_unique())
      own_copy();
    else if (buffer_)
      buffer_->forget();
    return buffer_ ? static_cast<T*>(buffer_->data()) + offset_ : nullptr;
  }
  /// Whether a write would not have to copy.
  bool is_unique() const {
    if (buffer_ && buffer_.use_count() > 1) return false;
    std::atomic_thread_fence(std::memory_order_acquire);  // what other owners read, they read before
    return true;
  }

  /// What `make()` computes from these elements, kept with them: until someone writes them, calls with an
  /// equal `key` return the same V. A memory keeps one V, the last; copies of the tensor share it. For
  /// weights at rest that an operation wants in a form of its own. V must not share memory with this tensor.
  /// Threads may ask at once.
  template <class V, std::equality_comparable Key, class Make>
  std::shared_ptr<const V> derived(const Key& key, const Make& make) const {
    const auto full_key = std::tuple(key, shape_, layout_, offset_);
    using Kept = detail::DerivedOf<V, std::remove_const_t<decltype(full_key)>>;
    const auto at = [](std::shared_ptr<const Kept> kept) {
      return std::shared_ptr<const V>(kept, &kept->value);
    };
    if (buffer_)
      if (auto kept = std::dynamic_pointer_cast<const Kept>(buffer_->derived());
          kept && kept->key == full_key)
        return at(std::move(kept));
    auto made = std::make_shared<const Kept>(full_key, make);
    if (buffer_) buffer_->keep(made);
    return at(std::move(made));
  }

  /// The same elements in another memory order; this tensor itself if its order is that one already.
  Tensor to(const Layout& layout) const {
    require<ShapeError>(layout.rank() == rank(), "layout ", layout, " does not fit shape ", shape_);
    if (Layout::same_order(shape_, layout_, layout)) {
      Tensor same = *this;
      same.layout_ = layout;
      return same;
    }
    Tensor out(shape_, layout);
    if (numel()) relayout_impl<T, D>::run(*this, out);
    return out;
  }
  Tensor row_major() const { return to(Layout::row_major(rank())); }

  /// The same elements (in row-major order) under another shape of equal element count.
  Tensor reshape(const Shape& shape) const {
    require<ShapeError>(shape.numel() == numel(), "cannot reshape ", shape_, " (", numel(), " elements) to ",
                        shape, " (", shape.numel(), " elements)");
    Tensor out = row_major();
    out.shape_ = shape;
    out.layout_ = Layout::row_major(shape.rank());
    return out;
  }

  /// Elements [begin, begin + count) of the first dimension, in row-major order; without a copy if this
  /// tensor is in that order.
  Tensor narrow(std::int64_t begin, std::int64_t count) const {
    require<ShapeError>(rank() >= 1 && begin >= 0 && count >= 0 && begin <= shape_[0] - count, "narrow: [",
                        begin, ", ", begin, " + ", count, ") is not inside the first dimension of ", shape_);
    Tensor out = row_major();
    out.shape_.set(0, count);
    out.offset_ += begin * (shape_[0] ? numel() / shape_[0] : 0);
    return out;
  }

  /// All elements on the host, in row-major order.
  std::vector<T> to_vector() const {
    const Tensor plain = row_major();
    std::vector<T> out(static_cast<std::size_t>(numel()));
    if (!out.empty()) D::copy_to_host(out.data(), plain.data(), out.size() * sizeof(T));
    return out;
  }
  /// The value of a tensor of one element. Throws ShapeError otherwise.
  T item() const {
    require<ShapeError>(numel() == 1, "item() needs a tensor of one element, got shape ", shape_);
    T value;
    D::copy_to_host(&value, data(), sizeof(T));
    return value;
  }

 private:
  static const Shape& of_size(const Shape& shape, std::size_t values) {
    require<ShapeError>(std::cmp_equal(values, shape.numel()), "a tensor of shape ", shape, " has ",
                        shape.numel(), " elements, got ", values, " values");
    return shape;
  }
  void swap(Tensor& other) noexcept {
    std::swap(shape_, other.shape_);
    std::swap(layout_, other.layout_);
    std::swap(offset_, other.offset_);
    buffer_.swap(other.buffer_);
  }
  void own_copy() {
    auto copy = std::make_shared<detail::Storage<D>>(static_cast<std::size_t>(storage_size()) * sizeof(T));
    D::copy(copy->data(), data(), copy->bytes());
    buffer_ = std::move(copy);
    offset_ = 0;
  }

  Shape shape_;
  Layout layout_;
  std::shared_ptr<detail::Storage<D>> buffer_;
  std::int64_t offset_ = 0;
};

namespace detail {
/// "linear: expected input of shape [*, 12], got [64, 13]" is what checks of ops read like; this one is for
/// pairs.
template <class A, class B>
void require_same_shape(const char* what, const A& a, const B& b) {
  require<ShapeError>(a.shape() == b.shape(), what, ": shapes ", a.shape(), " and ", b.shape(), " differ");
}
}  // namespace detail

}  // namespace kfer
