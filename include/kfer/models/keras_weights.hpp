// Weights that Keras saved, in kfer's names and layouts.
#pragma once

#include <string_view>
#include <vector>

#include "kfer/io/hdf5.hpp"
#include "kfer/models/imported.hpp"

namespace kfer::models {

/// The weights of a Keras file (save_weights' legacy .h5, save's whole-model .h5, Keras 3's .weights.h5) for
/// kfer's `model`: "resnet50", "resnet50_classifier", "autoencoder", "autoencoder_classifier" or "conv_net";
/// "" tells the model from the layers. In the order of the file's layers. Throws FormatError naming file and
/// tensor where the layers are not those of the model.
std::vector<ImportedTensor> import_keras(const io::Hdf5& file, std::string_view model = "");

}  // namespace kfer::models
