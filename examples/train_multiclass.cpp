// Trains one of the three K-drama models to tell 6 or 22 emotions apart, by the published recipe, and prints
// published | obtained | difference:
//
//   train_multiclass --data-path kdrama --task 6 --model resnet50
//
// Ctrl-C leaves a run that --resume continues bit for bit; --test-only evaluates saved weights. The run's
// report.html shows it all.
#include "kdrama/train.hpp"

int main(int argc, char** argv) {
  return kfer::run_program("train_multiclass", [&] {
    return kdrama::train_main("train_multiclass", "Trains a facial emotion classifier on the K-drama files.",
                              "6", argc, argv);
  });
}
