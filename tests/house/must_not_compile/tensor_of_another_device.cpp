// A tensor does not move to another device unasked.
// expect: use of deleted function .*Tensor|conversion function from .*Tensor<.* invokes a deleted function
#include <kfer/device/cpu.hpp>
#include <kfer/tensor/create.hpp>

#ifdef WRONG
kfer::Tensor<float> on_host(const kfer::Tensor<float, kfer::Cuda>& x) {
  return x;
}
#else
kfer::Tensor<float> on_host(const kfer::Tensor<float, kfer::Cpu>& x) {
  return x;
}
#endif
