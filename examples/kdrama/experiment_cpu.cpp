// The experiments on the Cpu.
#include "kdrama/experiment_on.hpp"

namespace kdrama {

template Result run_on<Cpu>(const Options&, const std::string&);
template PretrainResult pretrain_on<Cpu>(const PretrainOptions&, const std::string&);

}  // namespace kdrama
