// Switching the recording of gradients off.
#pragma once

namespace kfer {
namespace detail {
inline bool& recording() {
  thread_local bool on = true;
  return on;
}
}  // namespace detail

/// Whether operations of this thread are recorded.
inline bool grad_enabled() {
  return detail::recording();
}

/// While it lives, this thread records no operation: inference needs no graph and keeps no intermediate
/// value.
class NoGrad {
 public:
  NoGrad() : before_(detail::recording()) { detail::recording() = false; }
  ~NoGrad() { detail::recording() = before_; }
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};

}  // namespace kfer
