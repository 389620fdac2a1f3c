// A small value that work takes as it is now, and captured work as it will be at each replay: a learning
// rate, a step number.
//
//   struct Rates { float lr; float correction; };
//   ReplayedValue<Rates, D> rates;          // a member of the optimiser
//   rates.set({lr, correction});            // the host, before every step, eager or replayed
//   kernel(rates.value(), rates.device());  // reads *device if that is not null, else value
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>

namespace kfer {

/// The value as kernels on D see it. A device that can capture work offers
/// `const void* D::replayed_slot(const std::shared_ptr<const void>& cell, std::size_t bytes)`: during a
/// capture, device memory that holds the cell's bytes at every replay, else null. On the Cpu there is only
/// the value.
///
/// A copy is a value of its own; a captured graph follows the original, also if that is moved.
template <class V, class D>
class ReplayedValue {
  static_assert(std::is_trivially_copyable_v<V> && alignof(V) <= 16, "the device receives the value's bytes");

 public:
  explicit ReplayedValue(const V& value = {}) : cell_(std::make_shared<V>(value)) {}
  ReplayedValue(const ReplayedValue& other) : ReplayedValue(other.value()) {}
  ReplayedValue(ReplayedValue&&) noexcept = default;
  ReplayedValue& operator=(const ReplayedValue& other) {
    set(other.value());
    return *this;
  }
  ReplayedValue& operator=(ReplayedValue&&) noexcept = default;

  /// For work enqueued and graphs replayed from now on; what was enqueued or replayed before keeps what it
  /// was given. Costs nothing but the assignment.
  void set(const V& value) { *cell_ = value; }
  const V& value() const { return *cell_; }

  /// Where captured kernels read the value; null unless the calling thread is capturing.
  const V* device() const {
    if constexpr (requires { D::replayed_slot(cell_, sizeof(V)); })
      return static_cast<const V*>(D::replayed_slot(cell_, sizeof(V)));
    else
      return nullptr;
  }

 private:
  std::shared_ptr<V> cell_;
};

}  // namespace kfer
