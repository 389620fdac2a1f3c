// Ctrl-C and SIGTERM as a question that a loop asks, instead of the end of the program.
#pragma once

#include <signal.h>

#include <csignal>

namespace kfer {
namespace detail {
inline volatile std::sig_atomic_t interrupt_signal = 0;
}

/// While it lives, SIGINT and SIGTERM are noted. A second one of the kind ends the program as usual, so that
/// a loop that does not ask can still be stopped. One at a time.
class Interrupt {
 public:
  Interrupt() {
    detail::interrupt_signal = 0;
    struct sigaction action {};
    action.sa_handler = [](int signal) { detail::interrupt_signal = signal; };
    action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, &before_int_);
    sigaction(SIGTERM, &action, &before_term_);
  }
  ~Interrupt() {
    sigaction(SIGINT, &before_int_, nullptr);
    sigaction(SIGTERM, &before_term_, nullptr);
  }
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  /// The signal that came, or 0.
  int signal() const { return detail::interrupt_signal; }
  explicit operator bool() const { return signal() != 0; }

 private:
  struct sigaction before_int_ {
  }, before_term_{};
};

}  // namespace kfer
