// SPDX-License-Identifier: MIT
#include "tests/apps/programs.h"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <regex>
#include <sstream>
#include <thread>
#include <utility>

#include "apps/common/evaluate.h"
#include "data/split.h"
#include "data/synthetic.h"
#include "engine/files/file.h"

namespace msd::test {
namespace {

constexpr std::int64_t kTrain = 170, kTest = 110, kHoldout = 60;
constexpr std::uint64_t kSplitSeed = 5, kDataSeed = 3;

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

int exit_code_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

testing::AssertionResult speaks_to_users(const std::string& output) {
  static const std::regex kInside(
      "json\\.exception|std::|bad_alloc|bad_[a-z]+_(access|call)|_M_[a-z]|basic_string|map::at|"
      "filesystem error|: sto[a-z]+$|terminate called|what\\(\\)|MSD_[A-Z]*CHECK|"
      "[a-z_]+\\.(cpp|h|cu|cuh):[0-9]");
  std::smatch found;
  if (!std::regex_search(output, found, kInside)) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "'" << found.str() << "' reaches a user: " << output;
}

ProgramResult run_program(const std::string& program, const Arguments& arguments) {
  const TempFolder folder;
  const std::string err_path = (folder / "stderr").string();
  std::string command = quoted(std::string(MSD_PROGRAM_DIR) + "/" + program);
  for (const std::string& argument : arguments) command += " " + quoted(argument);
  command += " 2>" + quoted(err_path);
  ProgramResult result;
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("popen " + command);
  std::array<char, 4096> buffer{};
  while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    result.out.append(buffer.data(), got);
  }
  const int status = ::pclose(pipe);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  result.err = read_text_file(err_path);
  EXPECT_TRUE(speaks_to_users(result.err));
  return result;
}

testing::AssertionResult fails(const ProgramResult& result, int exit_code,
                               const std::vector<std::string>& parts) {
  const auto failure = [&](const std::string& what) {
    return testing::AssertionFailure() << what << "; exit code " << result.exit_code
                                       << ", stderr: " << result.err << "stdout: " << result.out;
  };
  if (result.exit_code != exit_code) return failure("exit code is not as expected");
  if (!result.out.empty()) return failure("something is on stdout");
  if (result.err.find('\n') + 1 != result.err.size()) return failure("stderr is not one line");
  for (const std::string& part : parts) {
    if (result.err.find(part) == std::string::npos) return failure("'" + part + "' is missing");
  }
  return testing::AssertionSuccess() << result.err;
}

testing::AssertionResult succeeds(const ProgramResult& result) {
  if (result.exit_code == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "exit code " << result.exit_code << ": " << result.err;
}

std::vector<nlohmann::json> json_lines(const std::string& text) {
  std::vector<nlohmann::json> values;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) values.push_back(nlohmann::json::parse(line));
  return values;
}

BackgroundProgram::BackgroundProgram(const std::string& program, Arguments arguments,
                                     const std::string& output) {
  const std::string path = std::string(MSD_PROGRAM_DIR) + "/" + program;
  arguments.insert(arguments.begin(), path);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::fflush(nullptr);  // or the child would print what is buffered again
  process_ = fork();
  if (process_ != 0) return;
  if (freopen(output.c_str(), "a", stdout) == nullptr ||
      freopen(output.c_str(), "a", stderr) == nullptr) {
    _exit(125);
  }
  execv(path.c_str(), argv.data());
  _exit(127);
}

BackgroundProgram::~BackgroundProgram() {
  if (process_ > 0) end(SIGKILL);
}

std::optional<int> BackgroundProgram::ended() {
  int status = 0;
  if (waitpid(process_, &status, WNOHANG) == 0) return std::nullopt;
  process_ = 0;
  return exit_code_of(status);
}

void BackgroundProgram::send(int signal) const { kill(process_, signal); }

int BackgroundProgram::end(int signal) {
  send(signal);
  return wait();
}

int BackgroundProgram::wait() {
  int status = 0;
  waitpid(std::exchange(process_, 0), &status, 0);
  return exit_code_of(status);
}

int train_and_interrupt(Arguments arguments, const std::filesystem::path& run, int after_ms) {
  BackgroundProgram program("msd-train", std::move(arguments));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(120);
  while (!std::filesystem::exists(run / "config.json") &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(after_ms));
  return program.end(SIGTERM);
}

nlohmann::json stored_data() {
  return {{"dataset", "synthetic"},
          {"split", ""},
          {"holdout", kHoldout},
          {"holdout_mode", "random"},
          {"holdout_seed", kSplitSeed},
          {"synthetic_train", kTrain},
          {"synthetic_test", kTest},
          {"synthetic_seed", kDataSeed},
          {"data", ""}};
}

Dataset small_dataset() {
  SyntheticOptions options;
  options.seed = kDataSeed;
  options.train = kTrain;
  options.test = kTest;
  return make_synthetic(options);
}

MsdnetConfig small_config() {
  MsdnetConfig config = preset("cifar10-tiny");
  config.init_channels = 4;
  config.growth_rate = 2;
  return config;
}

ProgramTest::ProgramTest() {
  weights_ =
      write_weights("weights.safetensors", 1,
                    {{"data", stored_data()}, {"data_fingerprint", small_dataset().fingerprint}});
}

std::string ProgramTest::write_weights(const std::string& name, std::uint64_t seed,
                                       const nlohmann::json& training) {
  SystemAllocator host;
  Network network(small_config(), host);
  network.initialize(seed);
  write_checkpoint(path(name), network, data_description(small_dataset()), training);
  return path(name);
}

ProgramResult ProgramTest::eval(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"--weights", weights_});
  return run_program("msd-eval", arguments);
}

ProgramResult ProgramTest::infer(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"--weights", weights_});
  return run_program("msd-infer", arguments);
}

ExitRecords ProgramTest::records(const std::string& part) {
  Runtime runtime;
  const Checkpoint checkpoint = read_checkpoint(weights_);
  Network network(*checkpoint.config, runtime.allocator());
  checkpoint.load_weights(network);
  const Dataset data = small_dataset();
  const Split split = make_split(data, kHoldout, HoldoutMode::random, kSplitSeed);
  return evaluate(runtime, network, network.dtype(), part == "test" ? data.test : data.train,
                  part == "test"      ? all_images(data.test)
                  : part == "holdout" ? split.holdout
                                      : split.train,
                  *checkpoint.data)
      .records;
}

}  // namespace msd::test
