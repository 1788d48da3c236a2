// SPDX-License-Identifier: MIT
// A small network described once, then recorded on a tape and, for comparison, computed naively in
// double: losses, batch-norm statistics and, by central differences, every gradient.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "engine/tape.h"
#include "kernels/ops.h"

namespace msd::test {

class TapeModel {
 public:
  using Options = Tape::BufferOptions;

  explicit TapeModel(std::int64_t n) : n_(n) {}

  // Describing. Every call of a plural makes one group.
  /// A buffer of random numbers that no gradient is wanted for.
  Variable input(std::int64_t h, std::int64_t w, std::int64_t c);
  Variable buffer(std::int64_t h, std::int64_t w, std::int64_t c, Options options = {});
  struct Conv {
    Variable in, out;
    std::int64_t kernel = 3, stride = 1;
    bool bias = false;
  };
  struct Pair {
    Variable in, out;
  };
  void convolutions(const std::vector<Conv>& group);
  void norms(const std::vector<Pair>& group);      // with ReLU
  void max_pools(const std::vector<Pair>& group);  // 3x3 s2 padding 1
  void average_pools(const std::vector<Pair>& group);
  void linears(const std::vector<Pair>& group);
  struct Loss {
    Variable logits;
    double weight = 1.0;
  };
  void losses(const std::vector<Loss>& group);

  struct Result {
    std::vector<double> losses;                   // an exit, unweighted
    std::vector<std::vector<double>> gradients;   // a parameter, as in memory; empty where masked
    std::vector<std::vector<double>> statistics;  // running mean and variance of each norm in turn
    bool operator==(const Result&) const = default;
  };
  /// The naive answer. Gradients of parameters the loss does not depend on are empty.
  Result reference() const;

  /// The same network on a tape. Runtime and model must outlive it.
  class Recorded {
   public:
    Recorded(const TapeModel& model, Runtime& runtime, DType dtype);
    Tape& tape() { return tape_; }
    ParameterSet& parameters() { return parameters_; }
    /// Statistics and results of the latest forward() and backward().
    Result result() const;

   private:
    const TapeModel& model_;
    ParameterSet parameters_;
    Tape tape_;
    std::vector<std::int32_t> labels_;
    std::vector<double> losses_;
  };

 private:
  static constexpr double kMomentum = 0.1, kEpsilon = 1e-5;
  static std::int32_t label_of(std::int64_t image, std::int64_t classes) {
    return static_cast<std::int32_t>((image * 2 + 1) % classes);
  }

  enum class Kind : std::uint8_t { convolution, norm, max_pool, average_pool, linear };
  struct Step {
    Kind kind = Kind::convolution;
    Variable in, out;
    ConvGeometry conv;
    // Index of the first parameter: weight [bias] of convolutions and linears, gamma beta of norms.
    std::size_t parameter = 0;
    bool bias = false;
    std::size_t norm = 0;  // index among the norms
  };
  struct Shape {
    std::int64_t h, w, c;
    Options options;
    bool is_input;
  };
  using Values = std::vector<std::vector<double>>;  // a buffer, [n][h][w][c]

  std::size_t add_parameter(std::int64_t elems, double low, double high);
  std::int64_t elems(const Variable& v) const;
  /// Loss for these parameters; `choices` gets the sign of every ReLU and the winner of every max.
  double evaluate(const Values& parameters, Result* result, std::vector<int>* choices) const;
  void compute(const Step& step, const Values& parameters, Values& buffers, Result* result,
               std::vector<int>* choices) const;

  std::int64_t n_;
  std::vector<Shape> buffers_;
  std::vector<std::vector<Step>> groups_;
  std::vector<Loss> losses_;
  Values parameters_;
  std::map<std::int32_t, std::vector<double>> inputs_;
  std::size_t norms_ = 0;
  std::uint64_t seed_ = 1;
};

}  // namespace msd::test
