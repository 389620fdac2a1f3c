// Trains one of the three K-drama multi-label models by the published recipe and prints published | obtained
// | difference:
//
//   train_multilabel --data-path kdrama --model resnet50
//
// Ctrl-C leaves a run that --resume continues bit for bit; --test-only evaluates saved weights. The run's
// report.html shows it all.
#include "kdrama/train.hpp"

int main(int argc, char** argv) {
  return kfer::run_program("train_multilabel", [&] {
    return kdrama::train_main("train_multilabel",
                              "Trains a multi-label facial emotion model on the K-drama files.",
                              "multi-label", argc, argv);
  });
}
