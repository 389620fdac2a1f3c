// The experiments on a GPU.
#include "kdrama/experiment_on.hpp"

namespace kdrama {

template Result run_on<Cuda>(const Options&, const std::string&);
template PretrainResult pretrain_on<Cuda>(const PretrainOptions&, const std::string&);

}  // namespace kdrama
