// SPDX-License-Identifier: MIT
// A walk over every option of a program: each must change what it says it changes.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "tests/apps/programs.h"

namespace msd::test {

/// What `program --help` declares: options by their long names, positional arguments by theirs;
/// without --help itself.
std::set<std::string> declared_options(const std::string& program);

/// An option and a check that giving it makes a difference.
struct OptionRow {
  std::string option;
  std::function<testing::AssertionResult()> matters;
};

/// What a command line brought about, as text or bytes.
using Observe = std::function<std::string(const Arguments&)>;

/// The option matters where `observe` tells the two command lines apart; `with` must give it.
OptionRow changes(const std::string& option, const Observe& observe, const Arguments& without,
                  const Arguments& with);
/// The option matters where `measure` grows by at least `by`.
OptionRow raises(const std::string& option,
                 const std::function<std::int64_t(const Arguments&)>& measure, std::int64_t by,
                 const Arguments& without, const Arguments& with);

/// One row for each option of the network, which the programs share.
std::vector<OptionRow> network_rows(const Observe& observe, const Arguments& base);

/// Expects a row for every declared option, no row for another one, and that every option matters.
void expect_every_option_matters(const std::string& program, const std::vector<OptionRow>& rows);

/// The most a program used while it ran, as /proc tells: for options that change no result.
struct Peaks {
  std::int64_t threads = 0, memory_kib = 0;
};
Peaks peaks_of(const std::string& program, const Arguments& arguments);

/// Exit code, stdout and stderr.
std::string everything_said(const ProgramResult& result);

/// A folder data set of 10 classes, "c0" to "c9", each with a training and a test picture of
/// another size; returns its path.
std::string write_folder(const std::filesystem::path& folder);

/// CIFAR-10's binary files with 9 training images (in 5 files) and 4 test images, which differ by
/// `seed`, and names.txt with their classes; returns the folder.
std::string write_cifar(const std::filesystem::path& folder, int seed = 0);

}  // namespace msd::test
