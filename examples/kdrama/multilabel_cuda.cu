// The multi-label experiment on a GPU.
#include "kdrama/multilabel_experiment.hpp"

namespace kdrama {

template MultilabelResult run_multilabel_on<Cuda>(const MultilabelOptions&, const io::Json&,
                                                  const std::string&);

}  // namespace kdrama
