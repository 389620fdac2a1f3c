// The frame of a program: errors become one line and an exit code.
#pragma once

#include <cerrno>
#include <cstdio>
#include <exception>
#include <system_error>

#include "kfer/core/error.hpp"

namespace kfer {

/// Exit codes of kfer's programs.
inline constexpr int exit_unexpected = 1, exit_error = 2, exit_interrupted = 130;

/// `return run_program("train_multilabel", [&] { ...; return 0; });` in main. An Error is one line on
/// standard error and code 2; any other exception one line and code 1. Standard output that took less than
/// was printed (a full disk) is such an error too.
template <class Body>
int run_program(const char* name, Body&& body) {
  try {
    const int code = body();
    const bool flushed = std::fflush(stdout) == 0;
    require<IoError>(flushed && !std::ferror(stdout), "cannot write to standard output",
                     flushed ? "" : text(": ", std::generic_category().message(errno)));
    return code;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: %s\n", name, error.what());
    return exit_error;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: unexpected: %s\n", name, error.what());
    return exit_unexpected;
  }
}

}  // namespace kfer
