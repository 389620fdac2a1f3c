// What both compilers see: a declaration alone.
#pragma once

#include <vector>

/// The doubled values, computed on device D.
template <class D>
std::vector<float> doubled_on(const std::vector<float>& values);
