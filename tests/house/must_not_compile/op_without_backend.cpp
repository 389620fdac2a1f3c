// An op on a device that this program has no backend for is an error that names the op.
// expect: incomplete type.*conv2d_impl|implicit instantiation of undefined template.*conv2d_impl
#include <kfer/ops/conv2d/conv2d.hpp>

using kfer::Cpu, kfer::Cuda, kfer::Variable;

#ifdef WRONG
auto convolve(const Variable<float, Cuda>& x, const Variable<float, Cuda>& w) {
  return kfer::conv2d(x, w);
}
#else
template <class D>
auto convolve(const Variable<float, D>& x, const Variable<float, D>& w) {
  return kfer::conv2d(x, w);
}
#endif
