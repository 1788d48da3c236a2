// SPDX-License-Identifier: MIT
#include "tests/kernels/convolution_cases.h"

namespace msd::test::conv {
testing::AssertionResult named(const Case& c, const testing::AssertionResult& result) {
  return result ? testing::AssertionSuccess()
                : testing::AssertionFailure() << c.text() << result.message();
}

std::vector<Case> geometry_cases() {
  std::vector<Case> cases;
  for (const std::int64_t kernel : {1, 2, 3, 5, 7}) {
    for (const std::int64_t stride : {1, 2, 3}) {
      for (std::int64_t padding = 0; padding < std::min<std::int64_t>(kernel, 4); ++padding) {
        const std::int64_t least = std::max<std::int64_t>(kernel - 2 * padding, 1);
        cases.push_back({2, least, least + 1, {3, 5, kernel, stride, padding}});
        cases.push_back({3, least + 6, least + 12, {6, 12, kernel, stride, padding}});
        cases.push_back({1, least + 18, least, {5, 6, kernel, stride, padding}});
        cases.push_back({5, least + 2, least + 1, {17, 24, kernel, stride, padding}});
      }
    }
  }
  return cases;
}

std::vector<Case> channel_cases() {
  const std::int64_t channels[] = {1, 3, 5, 6, 12, 17, 24, 33, 48, 100, 128};
  std::vector<Case> cases;
  for (const std::int64_t cin : channels) {
    for (const std::int64_t cout : channels) {
      cases.push_back({1, 3, 7, {cin, cout, 1, 1, 0}});
      cases.push_back({1, 5, 3, {cin, cout, 3, 2, 1}});
      if (cin <= 48 && cout <= 48) cases.push_back({1, 3, 5, {cin, cout, 3, 1, 1}});
    }
  }
  return cases;
}

std::vector<Case> network_cases() {
  return {{2, 32, 32, {22, 6, 1, 1, 0}},  {2, 32, 32, {6, 6, 3, 1, 1}},
          {2, 32, 32, {6, 6, 3, 2, 1}},   {3, 16, 16, {56, 24, 1, 1, 0}},
          {2, 16, 16, {24, 12, 3, 2, 1}}, {2, 16, 16, {12, 6, 3, 1, 1}},
          {3, 8, 8, {88, 48, 1, 1, 0}},   {3, 8, 8, {48, 12, 3, 1, 1}},
          {2, 8, 8, {96, 24, 3, 1, 1}},   {2, 16, 16, {140, 70, 1, 1, 0}},
          {2, 8, 8, {164, 128, 3, 2, 1}}, {7, 4, 4, {128, 128, 3, 2, 1}},
          {2, 32, 32, {3, 16, 3, 1, 1}},  {1, 32, 32, {16, 32, 3, 2, 1}},
          {1, 47, 61, {3, 64, 7, 2, 3}},  {1, 29, 28, {16, 16, 3, 1, 1}},
          {1, 7, 7, {96, 96, 3, 2, 1}},   {9, 2, 2, {128, 10, 1, 1, 0}},
          {2, 5, 56, {40, 16, 3, 1, 1}},  {1, 4, 57, {24, 40, 3, 1, 1}}};
}

std::vector<Case> batch_cases() {
  std::vector<Case> cases = network_cases();
  for (Case& c : cases) c.n = c.h > 4 ? 3 : 7;
  return cases;
}

std::vector<Case> empty_cases() {
  return {{0, 8, 8, {6, 12, 1, 1, 0}}, {0, 8, 8, {6, 12, 3, 1, 1}}, {0, 9, 8, {6, 12, 3, 2, 1}}};
}

std::vector<Case> small_cases() {
  return {{2, 5, 4, {3, 2, 3, 1, 1}}, {1, 6, 5, {2, 3, 3, 2, 1}}, {2, 3, 3, {4, 3, 1, 1, 0}},
          {1, 7, 8, {1, 2, 5, 3, 2}}, {1, 5, 5, {3, 1, 1, 2, 0}}, {1, 8, 7, {2, 1, 7, 2, 3}}};
}

std::vector<Case> large_cases() {
  return {{40, 16, 16, {6, 6, 3, 1, 1}},
          {3, 61, 67, {12, 24, 3, 1, 1}},
          {41, 8, 8, {24, 48, 1, 1, 0}},
          {70, 8, 8, {34, 100, 3, 2, 1}},
          {33, 33, 32, {13, 7, 1, 1, 0}}};
}

}  // namespace msd::test::conv
