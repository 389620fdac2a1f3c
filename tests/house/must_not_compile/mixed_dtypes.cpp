// Element types do not mix: nothing is converted behind the user's back.
// expect: static.assert.*both operands need one element type: convert one of them with cast<T>\(\)
#include <kfer/device/cpu.hpp>
#include <kfer/ops/elementwise/binary_cpu.hpp>

using kfer::Cpu, kfer::Variable;

#ifdef WRONG
auto sum(const Variable<float, Cpu>& a, const Variable<double, Cpu>& b) {
  return a + b;
}
#else
auto sum(const Variable<double, Cpu>& a, const Variable<double, Cpu>& b) {
  return a + b;
}
#endif
