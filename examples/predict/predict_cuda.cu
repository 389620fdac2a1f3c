// Prediction on a GPU.
#include "predict/predict_on.hpp"

namespace predict {

template kfer::PredictionCounts predict_on<kfer::Cuda>(const PredictionRun&);

}  // namespace predict
