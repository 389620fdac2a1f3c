// Prediction on the Cpu.
#include "predict/predict_on.hpp"

namespace predict {

template kfer::PredictionCounts predict_on<kfer::Cpu>(const PredictionRun&);

}  // namespace predict
