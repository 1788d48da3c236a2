// SPDX-License-Identifier: MIT
// Runs the built programs on a small network with random weights.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "models/exits/threshold_fitting.h"
#include "models/weights/checkpoint.h"
#include "tests/support/temp_folder.h"

namespace msd::test {

using Arguments = std::vector<std::string>;
Arguments operator+(Arguments a, const Arguments& b);

/// A network so small that an epoch takes a fraction of a second.
inline const Arguments kSmallNetwork = {
    "--preset", "cifar10-tiny",  "--blocks", "2", "--base", "1", "--init-channels",
    "4",        "--growth-rate", "2"};

struct ProgramResult {
  int exit_code = -1;
  std::string out, err;
};

/// Passes where `output` holds no text that is a library's or speaks of the source: what such an
/// exception is about must be said in words.
testing::AssertionResult speaks_to_users(const std::string& output);

/// Runs a program of the build with these arguments; what it prints must speak to users.
ProgramResult run_program(const std::string& program, const Arguments& arguments);

/// Passes where the program failed with `exit_code`, nothing on stdout and one line on stderr that
/// holds every one of `parts`.
testing::AssertionResult fails(const ProgramResult& result, int exit_code,
                               const std::vector<std::string>& parts);
testing::AssertionResult succeeds(const ProgramResult& result);

/// A program of the build that runs beside the test, its output thrown away unless a file for it is
/// named; killed at the latest when this is destroyed.
class BackgroundProgram {
 public:
  BackgroundProgram(const std::string& program, Arguments arguments,
                    const std::string& output = "/dev/null");
  ~BackgroundProgram();
  BackgroundProgram(const BackgroundProgram&) = delete;
  BackgroundProgram& operator=(const BackgroundProgram&) = delete;

  int process() const { return process_; }
  /// The exit code, or 128 + the signal that ended it; nothing while it runs.
  std::optional<int> ended();
  void send(int signal) const;
  /// Waits, and returns the same.
  int wait();
  /// Sends the signal and waits.
  int end(int signal);

 private:
  int process_ = 0;  // 0 when it has ended
};

/// Starts msd-train, sends SIGTERM `after_ms` after its run folder `run` has a config.json, and
/// returns its exit code: 130 where it saved and stopped, 0 where it was done before, 143 where the
/// signal came before the program was ready for it.
int train_and_interrupt(Arguments arguments, const std::filesystem::path& run, int after_ms);

/// The lines of `text`, each of which is a JSON value.
std::vector<nlohmann::json> json_lines(const std::string& text);

/// What the small network's run stored of its data: 170 synthetic training images, 60 held out, and
/// 110 test images.
nlohmann::json stored_data();
Dataset small_dataset();
/// The network the checkpoints below are for: 3 exits.
MsdnetConfig small_config();

/// A folder with checkpoints of the small network with random weights.
class ProgramTest : public testing::Test {
 protected:
  ProgramTest();

  /// Writes another checkpoint, of weights from `seed`; returns its path.
  std::string write_weights(const std::string& name, std::uint64_t seed,
                            const nlohmann::json& training);
  /// Runs msd-eval or msd-infer with --weights.
  ProgramResult eval(std::vector<std::string> arguments);
  ProgramResult infer(std::vector<std::string> arguments);
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  /// What the exits say of the part's images, found here without the programs.
  ExitRecords records(const std::string& part);

  TempFolder folder_;
  std::string weights_;
};

}  // namespace msd::test
