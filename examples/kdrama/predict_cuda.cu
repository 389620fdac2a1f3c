// Prediction on a GPU.
#include "kdrama/predict_on.hpp"

namespace kdrama {

template kfer::PredictionCounts predict_on<kfer::Cuda>(const PredictionRun&);

}  // namespace kdrama
