// Devices do not mix: a copy between them is always written out.
// expect: static.assert.*both operands need one device: copy one of them
#include <kfer/device/cpu.hpp>
#include <kfer/ops/elementwise/binary_cpu.hpp>

using kfer::Cpu, kfer::Cuda, kfer::Variable;

#ifdef WRONG
auto sum(const Variable<float, Cpu>& a, const Variable<float, Cuda>& b) {
  return a + b;
}
#else
auto sum(const Variable<float, Cpu>& a, const Variable<float, Cpu>& b) {
  return a + b;
}
#endif
