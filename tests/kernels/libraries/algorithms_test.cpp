// SPDX-License-Identifier: MIT
// The choice of algorithms, with a plugin of this file's: no GPU and none of NVIDIA's libraries.
#include "kernels/libraries/algorithms.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <set>

#include "kernels/error.h"

namespace msd::cuda {
namespace {

using Mode = AlgorithmPolicy::Mode;

// What the fake plugin was asked, and what it answers.
struct Fake {
  int prepared = 0, runs = 0;
  bool supports = true, runs_fail = false;
};
Fake fake;

std::int64_t prepare(void*, const AlgorithmKey* problem, std::int64_t most_bytes, char* error) {
  ++fake.prepared;
  if (fake.supports && problem->h <= 100 && most_bytes >= 1024) return 1024;
  std::snprintf(error, kPluginErrorBytes, "too large");
  return -1;
}
int run(void*, const AlgorithmKey*, const Operands*, char* error) {
  ++fake.runs;
  if (fake.runs_fail) std::snprintf(error, kPluginErrorBytes, "broken");
  return fake.runs_fail ? -1 : 0;
}
void* open(CUstream_st*, char* error) {
  std::snprintf(error, kPluginErrorBytes, "no GPU");
  return fake.supports ? &fake : nullptr;
}
void close(void*) {}

// op, name, repeatable, batch-invariant, dense weight
constexpr Candidate kCandidates[] = {
    {ChoosableOp::conv_forward, "cudnn", true, false, true, prepare, run},
    {ChoosableOp::conv_forward, "cublaslt", true, true, false, prepare, run},
    {ChoosableOp::conv_backward_weight, "cudnn", true, false, false, prepare, run},
    {ChoosableOp::batchnorm_forward, "cudnn", false, false, false, prepare, run}};
constexpr PluginTable kTable = {kPluginVersion, 4, kCandidates, "fake 1", open, close};

/// Times by name; what it was told to keep.
class FakeTimes : public AlgorithmTimes {
 public:
  std::string remembered(const AlgorithmKey& problem) override { return kept[problem]; }
  void remember(const AlgorithmKey& problem, std::string_view algorithm) override {
    kept[problem] = algorithm;
  }
  double measure(const std::function<void()>& measured,
                 std::span<const std::span<std::byte>>) override {
    ++measurements;
    current.clear();
    measured();
    return ms.at(current);
  }
  std::map<AlgorithmKey, std::string> kept;
  std::map<std::string, double> ms = {{"handwritten", 2.0}, {"cudnn", 3.0}, {"cublaslt", 1.0}};
  std::string current;
  int measurements = 0;
};

AlgorithmKey problem_of(ChoosableOp op, std::int64_t size = 8) {
  AlgorithmKey problem;
  problem.op = op;
  problem.n = 2, problem.h = problem.out_h = size, problem.w = problem.out_w = size;
  problem.cin = problem.cout = 4;
  return problem;
}

class AlgorithmChoice : public testing::Test {
 protected:
  void TearDown() override { fake = {}; }

  std::string chosen(AlgorithmChooser& chooser, const AlgorithmKey& problem,
                     bool capturing = false) {
    const Candidate* candidate =
        chooser.choose(problem, capturing, {}, [this](const Candidate* which) {
          times_.current = which == nullptr ? "handwritten" : which->algorithm;
          if (which == nullptr) return;
          if (times_.current == broken_) throw CudaError("cannot be captured");
        });
    return candidate == nullptr ? std::string(kHandwritten) : candidate->algorithm;
  }
  std::string chosen(std::string_view policy, const AlgorithmKey& problem) {
    AlgorithmChooser chooser(parse_algorithm_policy(policy), &plugin_, &times_);
    return chosen(chooser, problem);
  }

  PluginSession plugin_{kTable, nullptr};
  FakeTimes times_;
  std::string broken_;
};

TEST(AlgorithmPolicyText, IsParsed) {
  EXPECT_EQ(parse_algorithm_policy("default").mode, Mode::heuristic);
  EXPECT_EQ(parse_algorithm_policy("fastest").mode, Mode::fastest);
  EXPECT_EQ(parse_algorithm_policy("deterministic").mode, Mode::deterministic);
  const AlgorithmPolicy fixed =
      parse_algorithm_policy("conv_forward=cudnn,linear_backward=cublaslt");
  EXPECT_EQ(fixed.mode, Mode::fixed);
  EXPECT_EQ(fixed.fixed[static_cast<std::size_t>(ChoosableOp::conv_forward)], "cudnn");
  EXPECT_EQ(fixed.fixed[static_cast<std::size_t>(ChoosableOp::linear_backward)], "cublaslt");
  EXPECT_EQ(fixed.fixed[static_cast<std::size_t>(ChoosableOp::conv_backward_data)], "");
}

TEST(AlgorithmPolicyText, SaysWhetherItNeedsThePlugin) {
  for (const char* text : {"default", "deterministic", "conv_forward=handwritten"}) {
    EXPECT_FALSE(parse_algorithm_policy(text).needs_plugin()) << text;
  }
  for (const char* text : {"fastest", "conv_forward=handwritten,batchnorm_forward=cudnn"}) {
    EXPECT_TRUE(parse_algorithm_policy(text).needs_plugin()) << text;
  }
}

TEST(AlgorithmPolicyText, OfNoSenseIsRefusedWithWhatExists) {
  const auto refusal = [](std::string_view text) -> std::string {
    try {
      parse_algorithm_policy(text);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "accepted";
  };
  for (const char* text : {"", "quick", "cudnn", "fastest,conv_forward=cudnn"}) {
    EXPECT_NE(refusal(text).find("deterministic or OP=NAME"), std::string::npos) << text;
  }
  EXPECT_NE(refusal("sgd=cudnn").find("conv_forward, conv_backward_data"), std::string::npos);
  EXPECT_NE(refusal("linear_forward=cudnn").find("it has handwritten, cublaslt"),
            std::string::npos);
  EXPECT_NE(refusal("batchnorm_forward=").find("it has handwritten, cudnn"), std::string::npos);
  EXPECT_NE(refusal("conv_forward=cudnn,conv_forward=cublaslt").find("twice"), std::string::npos);
}

TEST(ProblemText, DiffersWhereverAProblemDoes) {
  std::set<std::string> texts;
  std::set<AlgorithmKey> problems;
  const auto add = [&](auto change) {
    AlgorithmKey problem = problem_of(ChoosableOp::conv_forward);
    change(problem);
    texts.insert(text(problem));
    problems.insert(problem);
  };
  add([](AlgorithmKey&) {});
  add([](AlgorithmKey& p) { p.op = ChoosableOp::conv_backward_data; });
  add([](AlgorithmKey& p) { p.dtype = DType::bf16; });
  for (auto member :
       {&AlgorithmKey::n, &AlgorithmKey::h, &AlgorithmKey::w, &AlgorithmKey::out_h,
        &AlgorithmKey::out_w, &AlgorithmKey::cin, &AlgorithmKey::cout, &AlgorithmKey::kernel,
        &AlgorithmKey::stride, &AlgorithmKey::padding, &AlgorithmKey::weight_alignment_bytes}) {
    add([=](AlgorithmKey& p) { p.*member += 100; });
  }
  for (auto layout : {&AlgorithmKey::x, &AlgorithmKey::y, &AlgorithmKey::dx}) {
    add([=](AlgorithmKey& p) { (p.*layout).pitch = 7; });
    add([=](AlgorithmKey& p) { (p.*layout).alignment_bytes = 8; });
  }
  for (auto flag : {&AlgorithmKey::bias, &AlgorithmKey::relu, &AlgorithmKey::accumulate,
                    &AlgorithmKey::tf32, &AlgorithmKey::overlap, &AlgorithmKey::statistics}) {
    add([=](AlgorithmKey& p) { p.*flag = true; });
  }
  EXPECT_EQ(problems.size(), 26u);
  EXPECT_EQ(texts.size(), problems.size());
}

TEST_F(AlgorithmChoice, ByDefaultIsHandwrittenAndAsksNobody) {
  EXPECT_EQ(chosen("default", problem_of(ChoosableOp::conv_forward)), "handwritten");
  EXPECT_EQ(chosen("deterministic", problem_of(ChoosableOp::conv_forward)), "handwritten");
  EXPECT_EQ(fake.prepared, 0);
}

TEST_F(AlgorithmChoice, ByNameHoldsForItsOpWhereThereIsAPlan) {
  const char* policy = "conv_forward=cublaslt";
  EXPECT_EQ(chosen(policy, problem_of(ChoosableOp::conv_forward)), "cublaslt");
  EXPECT_EQ(chosen(policy, problem_of(ChoosableOp::conv_backward_weight)), "handwritten");
  AlgorithmChooser chooser(parse_algorithm_policy(policy), &plugin_, nullptr);
  EXPECT_EQ(chosen(chooser, problem_of(ChoosableOp::conv_forward, 200)), "handwritten");
  ASSERT_EQ(chooser.choices().size(), 1u);
  EXPECT_EQ(chooser.choices()[0].why_not, "cublaslt: too large");
}

TEST_F(AlgorithmChoice, ByNameThatHasNoPlanIsReportedOnceAnOpAndReason) {
  std::vector<std::string> warnings;
  const auto warn = [&](const std::string& warning) { warnings.push_back(warning); };
  const auto chooser_of = [&](std::string_view policy) {
    return AlgorithmChooser(parse_algorithm_policy(policy), &plugin_, &times_, default_algorithm,
                            warn);
  };
  AlgorithmChooser chooser =
      chooser_of("conv_forward=cudnn,conv_backward_data=cudnn,conv_backward_weight=cudnn");
  const AlgorithmKey first = problem_of(ChoosableOp::conv_forward, 200);
  EXPECT_EQ(chosen(chooser, problem_of(ChoosableOp::conv_forward)), "cudnn");
  EXPECT_TRUE(warnings.empty()) << warnings[0];
  EXPECT_EQ(chosen(chooser, first), "handwritten");
  chosen(chooser, problem_of(ChoosableOp::conv_forward, 300));  // the same reason
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(warnings[0], "--algorithms conv_forward=cudnn: handwritten for " + text(first) +
                             " and maybe others, as cudnn: too large");
  chosen(chooser, problem_of(ChoosableOp::conv_backward_weight, 200));  // another op
  ASSERT_EQ(warnings.size(), 2u);
  EXPECT_NE(warnings[1].find("conv_backward_weight=cudnn"), std::string::npos) << warnings[1];
  AlgorithmKey wide = problem_of(ChoosableOp::conv_forward);
  wide.cin = wide.cout = 4096;  // another reason
  chosen(chooser, wide);
  ASSERT_EQ(warnings.size(), 3u);
  EXPECT_NE(warnings[2].find("do not fit the workspace"), std::string::npos) << warnings[2];
  chosen(chooser, problem_of(ChoosableOp::conv_backward_data));  // not in this plugin
  ASSERT_EQ(warnings.size(), 4u);
  EXPECT_NE(warnings[3].find("as no cudnn in the plugin"), std::string::npos) << warnings[3];

  for (const char* policy : {"fastest", "conv_backward_data=cudnn,conv_forward=handwritten"}) {
    AlgorithmChooser other = chooser_of(policy);
    chosen(other, first);
    chosen(other, problem_of(ChoosableOp::linear_forward));
  }
  EXPECT_EQ(warnings.size(), 4u) << "nobody asked for what isn't there: " << warnings.back();
}

TEST_F(AlgorithmChoice, IsMadeOnceAProblem) {
  AlgorithmChooser chooser(parse_algorithm_policy("conv_forward=cudnn"), &plugin_, nullptr);
  const AlgorithmKey problem = problem_of(ChoosableOp::conv_forward);
  EXPECT_FALSE(chooser.known(problem).has_value());
  chosen(chooser, problem);
  ASSERT_TRUE(chooser.known(problem).has_value());
  EXPECT_STREQ((*chooser.known(problem))->algorithm, "cudnn");
  EXPECT_FALSE(chooser.known(problem_of(ChoosableOp::conv_forward, 9)).has_value());
}

TEST_F(AlgorithmChoice, OfTheFastestIsMeasuredOnceAndKept) {
  AlgorithmChooser chooser(parse_algorithm_policy("fastest"), &plugin_, &times_);
  const AlgorithmKey problem = problem_of(ChoosableOp::conv_forward);
  EXPECT_EQ(chosen(chooser, problem), "cublaslt");
  EXPECT_EQ(times_.measurements, 3);
  EXPECT_EQ(times_.kept.at(problem), "cublaslt");
  EXPECT_EQ(chosen("fastest", problem), "cublaslt") << "a later process";
  EXPECT_EQ(times_.measurements, 3);
  times_.ms["handwritten"] = 0.5;
  EXPECT_EQ(chosen("fastest", problem_of(ChoosableOp::conv_forward, 9)), "handwritten");
  EXPECT_EQ(times_.kept.at(problem_of(ChoosableOp::conv_forward, 9)), "handwritten");
}

TEST_F(AlgorithmChoice, OfTheFastestMeasuresAgainWhereWhatWasKeptHasNoPlan) {
  const AlgorithmKey problem = problem_of(ChoosableOp::conv_forward);
  times_.kept[problem] = "another";
  EXPECT_EQ(chosen("fastest", problem), "cublaslt");
  EXPECT_EQ(times_.measurements, 3);
}

TEST_F(AlgorithmChoice, OfTheFastestSkipsWhatFailsWhileMeasured) {
  broken_ = "cublaslt";
  times_.ms["cudnn"] = 1.5;
  AlgorithmChooser chooser(parse_algorithm_policy("fastest"), &plugin_, &times_);
  EXPECT_EQ(chosen(chooser, problem_of(ChoosableOp::conv_forward)), "cudnn");
  EXPECT_EQ(chooser.choices()[0].why_not, "cublaslt: cannot be captured");
}

TEST_F(AlgorithmChoice, OfTheFastestIsPutOffWhileCapturing) {
  AlgorithmChooser chooser(parse_algorithm_policy("fastest"), &plugin_, &times_);
  const AlgorithmKey problem = problem_of(ChoosableOp::conv_forward);
  EXPECT_TRUE(chooser.wants_run_before_capture());
  EXPECT_EQ(chosen(chooser, problem, true), "handwritten");
  EXPECT_EQ(times_.measurements, 0);
  EXPECT_FALSE(chooser.known(problem).has_value());
  EXPECT_EQ(chosen(chooser, problem), "cublaslt");
}

TEST_F(AlgorithmChoice, ThatIsDeterministicKeepsToWhatTheContractsPromise) {
  const auto wants_cudnn = [](const AlgorithmKey&) -> std::string_view { return "cudnn"; };
  const auto wants_cublaslt = [](const AlgorithmKey&) -> std::string_view { return "cublaslt"; };
  const AlgorithmPolicy policy = parse_algorithm_policy("deterministic");
  AlgorithmChooser chooser(policy, &plugin_, nullptr, wants_cudnn);
  EXPECT_EQ(chosen(chooser, problem_of(ChoosableOp::conv_forward)), "handwritten")
      << "not batch-invariant";
  EXPECT_EQ(chosen(chooser, problem_of(ChoosableOp::conv_backward_weight)), "cudnn");
  EXPECT_EQ(chosen(chooser, problem_of(ChoosableOp::batchnorm_forward)), "handwritten")
      << "not repeatable";
  AlgorithmChooser other(policy, &plugin_, nullptr, wants_cublaslt);
  EXPECT_EQ(chosen(other, problem_of(ChoosableOp::conv_forward)), "cublaslt");
}

TEST_F(AlgorithmChoice, WithoutAPluginIsHandwritten) {
  AlgorithmChooser chooser(parse_algorithm_policy("fastest"), nullptr, nullptr);
  EXPECT_EQ(chosen(chooser, problem_of(ChoosableOp::conv_forward)), "handwritten");
}

TEST_F(AlgorithmChoice, PassesThePluginsErrorsOn) {
  const AlgorithmKey problem = problem_of(ChoosableOp::conv_forward);
  plugin_.run(kCandidates[0], problem, {});
  fake.runs_fail = true;
  try {
    plugin_.run(kCandidates[0], problem, {});
    ADD_FAILURE();
  } catch (const CudaError& error) {
    EXPECT_STREQ(error.what(), "conv_forward by cudnn: broken");
  }
  fake.supports = false;
  EXPECT_THROW(PluginSession(kTable, nullptr), CudaError);
}

TEST_F(AlgorithmChoice, LeavesNoPlanToWeightsThatFillTheWorkspace) {
  AlgorithmKey problem = problem_of(ChoosableOp::conv_forward);
  problem.cin = problem.cout = 4096;  // 64 MiB
  std::string why_not;
  EXPECT_FALSE(plugin_.prepare(kCandidates[0], problem, why_not));
  EXPECT_NE(why_not.find("67108864"), std::string::npos) << why_not;
  problem.cin = problem.cout = 2048;  // all of it, nothing for the plan
  EXPECT_FALSE(plugin_.prepare(kCandidates[0], problem, why_not));
  EXPECT_EQ(why_not, "too large");
  EXPECT_TRUE(plugin_.prepare(kCandidates[1], problem, why_not)) << "reads them as they are";
}

TEST(Plugin, ThatIsMissingOrNoneSaysSo) {
  ASSERT_EQ(setenv("MSD_CUDNN_PLUGIN", "/nowhere/libmsd_cudnn.so", 1), 0);
  const FoundPlugin missing = open_plugin();
  EXPECT_EQ(missing.table, nullptr);
  EXPECT_NE(missing.why_not.find("/nowhere/libmsd_cudnn.so cannot be opened"), std::string::npos)
      << missing.why_not;
  ASSERT_EQ(setenv("MSD_CUDNN_PLUGIN", "libc.so.6", 1), 0);
  EXPECT_EQ(open_plugin().why_not, "libc.so.6 is no plugin of this program");
  ASSERT_EQ(unsetenv("MSD_CUDNN_PLUGIN"), 0);
}

}  // namespace
}  // namespace msd::cuda
