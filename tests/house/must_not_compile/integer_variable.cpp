// Integers have no gradient.
// expect: constraint
#include <cstdint>

#include <kfer/autograd/variable.hpp>

#ifdef WRONG
using Labels = kfer::Variable<std::int64_t>;
#else
using Labels = kfer::Tensor<std::int64_t>;
#endif
void take(const Labels&);
