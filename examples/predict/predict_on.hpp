// Prediction for any device: predict_cpu.cpp has it for the Cpu, predict_cuda.cu for Cuda.
#pragma once

#include "kfer/train/predictor.hpp"
#include "predict/predict.hpp"

namespace predict {

template <class D>
kfer::PredictionCounts predict_on(const PredictionRun& run) {
  const kfer::Predictor<D> predictor(run.weights, run.about,
                                     {.batch_size = run.batch_size, .workers = run.workers});
  run.begin(predictor.info());
  return predictor.stream(run.next, run.take);
}

}  // namespace predict
