// SPDX-License-Identifier: MIT
// Numbers that kernels take by value: std::numeric_limits has them as functions of the host.
#pragma once

#include <limits>

namespace msd::cuda {

template <typename T>
inline constexpr T kInfinity = std::numeric_limits<T>::infinity();
template <typename T>
inline constexpr T kNaN = std::numeric_limits<T>::quiet_NaN();
/// The least normal float.
inline constexpr double kLeastFloat = std::numeric_limits<float>::min();

}  // namespace msd::cuda
