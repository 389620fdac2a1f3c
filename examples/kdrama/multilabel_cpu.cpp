// The multi-label experiment on the Cpu.
#include "kdrama/multilabel_experiment.hpp"

namespace kdrama {

template MultilabelResult run_multilabel_on<Cpu>(const MultilabelOptions&, const io::Json&,
                                                 const std::string&);

}  // namespace kdrama
