// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <exception>
#include <initializer_list>
#include <string>
#include <string_view>

#include "kernels/error.h"

namespace msd::test {

/// Passes where `body` throws an E (or one derived from it) whose text is one line and holds every
/// one of `parts`.
template <typename E, typename Body>
testing::AssertionResult throws(Body&& body, std::initializer_list<std::string_view> parts = {}) {
  try {
    body();
  } catch (const E& error) {
    const std::string text = error.what();
    if (text.find('\n') != std::string::npos) {
      return testing::AssertionFailure() << "more than one line: " << text;
    }
    for (const std::string_view part : parts) {
      if (text.find(part) == std::string::npos) {
        return testing::AssertionFailure() << "'" << part << "' is not in: " << text;
      }
    }
    return testing::AssertionSuccess() << text;
  } catch (const std::exception& error) {
    return testing::AssertionFailure() << "another type was thrown: " << error.what();
  }
  return testing::AssertionFailure() << "nothing was thrown";
}

}  // namespace msd::test
