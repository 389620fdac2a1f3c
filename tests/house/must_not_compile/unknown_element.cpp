// Tensors hold numbers.
// expect: constraint
#include <string>

#include <kfer/tensor/tensor.hpp>

#ifdef WRONG
using Names = kfer::Tensor<std::string>;
#else
using Names = kfer::Tensor<float>;
#endif
void take(const Names&);
