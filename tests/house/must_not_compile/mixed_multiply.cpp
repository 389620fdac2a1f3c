// What holds for + (mixed_dtypes.cpp, mixed_devices.cpp) holds for *.
// expect: static.assert.*both operands need one element type: convert one of them with cast<T>\(\)
#include <kfer/device/cpu.hpp>
#include <kfer/ops/elementwise/binary_cpu.hpp>

using kfer::Cpu, kfer::Variable;

#ifdef WRONG
auto mixed(const Variable<float, Cpu>& a, const Variable<double, Cpu>& b) {
  return a * b;
}
#else
auto mixed(const Variable<double, Cpu>& a, const Variable<double, Cpu>& b) {
  return a * b;
}
#endif
