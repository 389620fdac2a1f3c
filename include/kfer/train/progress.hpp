// Showing how far a loop has come: a bar that redraws itself on a terminal, plain lines elsewhere.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>

#include "kfer/core/error.hpp"

namespace kfer {

/// "0:07", "12:34", "1:02:03".
inline std::string format_duration(double seconds) {
  if (!(seconds >= 0) || seconds > 1e9) return "-:--";
  const auto s = static_cast<long long>(std::llround(seconds));
  char buffer[48];
  if (s >= 3600)
    std::snprintf(buffer, sizeof buffer, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  else
    std::snprintf(buffer, sizeof buffer, "%lld:%02lld", s / 60, s % 60);
  return buffer;
}

/// `value` with `digits` significant digits.
inline std::string format_number(double value, int digits = 4) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%.*g", digits, value);
  return buffer;
}

/// The progress of one pass over `total` steps. Redraws at most ten times a second on a terminal; elsewhere
/// writes a line every 30 seconds.
class Progress {
 public:
  /// `out` may be null: nothing is shown. `done` steps were finished before (a resumed pass).
  Progress(std::FILE* out, std::string label, std::int64_t total, std::int64_t done = 0)
      : out_(out), label_(std::move(label)), total_(total), start_(done), done_(done) {
    terminal_ = out_ && ::isatty(::fileno(out_));
    interval_ = terminal_ ? 0.1 : 30;
    begin_ = shown_ = Clock::now();
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { clear(); }

  /// One more step is done; `note()` ("loss 0.31") follows the bar. It is called only if something is shown.
  template <class Note>
  void step(const Note& note) {
    show(done_ + 1, note);
  }
  /// `done` steps are done.
  template <class Note>
  void show(std::int64_t done, const Note& note) {
    done_ = done;
    if (!out_) return;
    const auto now = Clock::now();
    if (std::chrono::duration<double>(now - shown_).count() < interval_) return;
    shown_ = now;
    const std::string content = line(note());
    // Blanks cover what a longer line before has left.
    if (terminal_)
      std::fprintf(out_, "\r%s%*s", content.c_str(),
                   static_cast<int>(std::max<std::ptrdiff_t>(
                       0, static_cast<std::ptrdiff_t>(width_) - static_cast<std::ptrdiff_t>(content.size()))),
                   "");
    else
      std::fprintf(out_, "%s\n", content.c_str());
    width_ = content.size();
    std::fflush(out_);
  }

  /// Takes the bar away, so that other lines can be written.
  void clear() {
    if (terminal_ && width_) {
      std::fprintf(out_, "\r%*s\r", static_cast<int>(width_), "");
      std::fflush(out_);
    }
    width_ = 0;
  }

  double seconds() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }

 private:
  using Clock = std::chrono::steady_clock;

  std::string line(const std::string& note) const {
    const double seconds = this->seconds(),
                 rate = seconds > 0 ? static_cast<double>(done_ - start_) / seconds : 0;
    const double left = rate > 0 ? static_cast<double>(total_ - done_) / rate : HUGE_VAL;
    std::string bar;
    if (terminal_ && total_ > 0) {
      constexpr std::int64_t cells = 24;
      const auto filled = static_cast<std::size_t>(cells * std::min(done_, total_) / total_);
      bar = text(" [", std::string(filled, '='), std::string(cells - filled, ' '), ']');
    }
    return text(label_, bar, ' ', done_, '/', total_, "  ", format_number(rate, 3), " steps/s  eta ",
                format_duration(left), note.empty() ? "" : "  ", note);
  }

  std::FILE* out_;
  std::string label_;
  std::int64_t total_, start_, done_;
  bool terminal_ = false;
  double interval_ = 30;
  std::size_t width_ = 0;
  Clock::time_point begin_, shown_;
};

}  // namespace kfer
