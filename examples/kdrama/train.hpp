// The program that train_multiclass and train_multilabel are.
#pragma once

#include "kfer/train/run.hpp"

namespace kdrama {

/// Parses the flags of `task`, trains, tests, prints, and writes the run's outcome. Returns the exit code;
/// throws as kdrama::run.
int train_main(const char* program, const char* about, const char* task, int argc, char** argv);

}  // namespace kdrama
