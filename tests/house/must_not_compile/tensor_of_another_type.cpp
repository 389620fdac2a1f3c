// A tensor does not turn into one of another element type without cast().
// expect: use of deleted function .*Tensor|conversion function from .*Tensor<.* invokes a deleted function
#include <kfer/device/cpu.hpp>
#include <kfer/tensor/create.hpp>

#ifdef WRONG
kfer::Tensor<float> halves = kfer::full<double>({2, 3}, 0.5);
#else
kfer::Tensor<float> halves = kfer::full<float>({2, 3}, 0.5f);
#endif
