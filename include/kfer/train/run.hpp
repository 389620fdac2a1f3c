// The frame of a program: errors become one line and an exit code.
#pragma once

#include <cstdio>
#include <exception>

#include "kfer/core/error.hpp"

namespace kfer {

/// Exit codes of kfer's programs.
inline constexpr int exit_unexpected = 1, exit_error = 2, exit_interrupted = 130;

/// `return run_program("train_multilabel", [&] { ...; return 0; });` in main. An Error is one line on
/// standard error and code 2; any other exception one line and code 1.
template <class Body>
int run_program(const char* name, Body&& body) {
  try {
    return body();
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: %s\n", name, error.what());
    return exit_error;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: unexpected: %s\n", name, error.what());
    return exit_unexpected;
  }
}

}  // namespace kfer
