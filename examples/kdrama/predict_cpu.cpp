// Prediction on the Cpu.
#include "kdrama/predict_on.hpp"

namespace kdrama {

template kfer::PredictionCounts predict_on<kfer::Cpu>(const PredictionRun&);

}  // namespace kdrama
