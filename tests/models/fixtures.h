// SPDX-License-Identifier: MIT
// PyTorch's answers: tests/fixtures (committed) and the reference folder (optional).
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "engine/tensor.h"
#include "models/network/config.h"
#include "tests/support/tensors.h"

namespace msd::test {

using Tensors = std::map<std::string, Tensor>;

/// A network, and what PyTorch says of it. Names as in the docstring of make_fixtures.py.
class Fixture {
 public:
  explicit Fixture(const std::string& name);

  const MsdnetConfig& config() const { return config_; }
  /// Parameters and buffers under their own names, for ParameterSet::load_state.
  const Tensors& state() const { return state_; }
  /// A tensor that is given whole.
  std::vector<double> values(const std::string& name) const;
  std::vector<std::int32_t> labels() const;
  /// The tensors prefix + N that the file has, by N.
  struct Sampled {
    std::vector<double> values;  // every stride-th element
    std::int64_t stride = 1;
  };
  std::map<std::string, Sampled> sampled(const std::string& prefix) const;

 private:
  MsdnetConfig config_;
  Tensors file_, state_;
};

/// Names of the fixtures, as in index.json.
std::vector<std::string> fixture_names();

/// $MSD_REFERENCE_DIR, or shared/reference beside the source folder.
std::filesystem::path reference_file(const std::string& name);

/// Skips the running test visibly where a reference file is absent.
#define MSD_NEED_REFERENCE(...)                                                       \
  for (const char* file : {__VA_ARGS__}) {                                            \
    if (!std::filesystem::exists(::msd::test::reference_file(file))) {                \
      GTEST_SKIP() << ::msd::test::reference_file(file).string() << " is not there; " \
                   << "set MSD_REFERENCE_DIR";                                        \
    }                                                                                 \
  }

/// The configurations of the reference folder's networks (its README): H, D and I.
MsdnetConfig reference_config(char network);

/// Writes [n][c][h][w] values (PyTorch's order) into an NHWC view.
void put_images(const View& view, const std::vector<double>& nchw);

}  // namespace msd::test
