// SPDX-License-Identifier: MIT
#include "tests/apps/option_walk.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <regex>
#include <span>
#include <sstream>
#include <thread>

#include "data/cifar.h"
#include "engine/files/file.h"
#include "tests/support/image_bytes.h"

namespace msd::test {
namespace {

// The number after `key` in /proc/PID/status; 0 where the process is gone.
std::int64_t status_of(int pid, const std::string& key) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key)) return std::stoll(line.substr(key.size()));
  }
  return 0;
}

// True for a positional argument, which is given without its name.
bool gives(const Arguments& arguments, const std::string& option) {
  return !option.starts_with("--") ||
         std::find(arguments.begin(), arguments.end(), option) != arguments.end();
}

}  // namespace

std::set<std::string> declared_options(const std::string& program) {
  const ProgramResult help = run_program(program, {"--help"});
  EXPECT_TRUE(succeeds(help));
  std::set<std::string> names;
  std::istringstream lines(help.out);
  bool positionals = false;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(" ")) positionals = line.starts_with("Positionals");
    if (!line.starts_with("  ") || line.starts_with("   ")) continue;
    std::string spelled;
    std::istringstream(line) >> spelled;  // "-h,--help" or "--bottleneck,--no-bottleneck{false}"
    if (positionals) names.insert(spelled);
    static const std::regex kLongName("--[a-z0-9-]+");
    for (std::sregex_iterator it(spelled.begin(), spelled.end(), kLongName), end; it != end; ++it) {
      names.insert(it->str());
    }
  }
  names.erase("--help");
  return names;
}

OptionRow changes(const std::string& option, const Observe& observe, const Arguments& without,
                  const Arguments& with) {
  return {option, [=]() -> testing::AssertionResult {
            if (!gives(with, option)) return testing::AssertionFailure() << "not given";
            const std::string before = observe(without), after = observe(with);
            if (before != after) return testing::AssertionSuccess();
            return testing::AssertionFailure() << "the same with and without it";
          }};
}

OptionRow raises(const std::string& option,
                 const std::function<std::int64_t(const Arguments&)>& measure, std::int64_t by,
                 const Arguments& without, const Arguments& with) {
  return {option, [=]() -> testing::AssertionResult {
            if (!gives(with, option)) return testing::AssertionFailure() << "not given";
            // A sampled peak is too low where the sampler had to wait for a core.
            constexpr int kRuns = 5;
            std::int64_t before = 0, after = 0;
            for (int run = 0; run < kRuns; ++run) {
              before = std::max(before, measure(without));
              after = std::max(after, measure(with));
              if (after >= before + by) return testing::AssertionSuccess();
            }
            return testing::AssertionFailure() << before << " without it, " << after << " with it";
          }};
}

std::vector<OptionRow> network_rows(const Observe& observe, const Arguments& base) {
  const std::vector<std::pair<std::string, std::string>> values = {
      {"--preset", "cifar10-quick"},
      {"--blocks", "2"},
      {"--step-mode", "lin_grow"},
      {"--step", "3"},
      {"--base", "3"},
      {"--init-channels", "12"},
      {"--growth-rate", "10"},
      {"--growth-factors", "1-2-2"},
      {"--bottleneck-factors", "1-1-1"},
      {"--prune", "min"},
      {"--reduction", "0.75"},
      {"--classes", "7"},
      {"--input-kind", "imagenet"},
      {"--image-size", "64"}};
  std::vector<OptionRow> rows;
  for (const auto& [option, value] : values) {
    rows.push_back(changes(option, observe, base, base + Arguments{option, value}));
  }
  const Arguments narrow = base + Arguments{"--bottleneck"},
                  wide = base + Arguments{"--no-bottleneck"};
  rows.push_back(changes("--bottleneck", observe, wide, narrow));
  rows.push_back(changes("--no-bottleneck", observe, narrow, wide));
  return rows;
}

void expect_every_option_matters(const std::string& program, const std::vector<OptionRow>& rows) {
  std::set<std::string> checked;
  for (const OptionRow& row : rows) {
    SCOPED_TRACE(program + " " + row.option);
    checked.insert(row.option);
    EXPECT_TRUE(row.matters());
  }
  EXPECT_EQ(checked, declared_options(program)) << "rows and declared options of " << program;
}

Peaks peaks_of(const std::string& program, const Arguments& arguments) {
  BackgroundProgram running(program, arguments);
  Peaks peaks;
  std::optional<int> code;
  while (!(code = running.ended())) {
    peaks.threads = std::max(peaks.threads, status_of(running.process(), "Threads:"));
    peaks.memory_kib = std::max(peaks.memory_kib, status_of(running.process(), "VmHWM:"));
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  EXPECT_EQ(code, 0) << program;
  return peaks;
}

std::string everything_said(const ProgramResult& result) {
  return std::to_string(result.exit_code) + "\n" + result.out + "\n" + result.err;
}

std::string write_folder(const std::filesystem::path& folder) {
  std::uint64_t seed = 0;
  for (const char* part : {"train", "test"}) {
    for (int label = 0; label < 10; ++label) {
      const std::filesystem::path to = folder / part / ("c" + std::to_string(label));
      std::filesystem::create_directories(to);
      const Bytes picture = ppm(noise(40 + label, 61 - label, ++seed));
      write_file_atomically(to / "picture.ppm", {std::as_bytes(std::span(picture))});
    }
  }
  return folder.string();
}

std::string write_cifar(const std::filesystem::path& folder, int seed) {
  std::filesystem::create_directories(folder);
  const auto write = [&](const std::string& name, int images) {
    std::string bytes;
    for (int i = 0; i < images; ++i) {
      bytes += static_cast<char>((i + 3) % 10);
      for (int k = 0; k < 3072; ++k) bytes += static_cast<char>((i * 101 + k * (37 + seed)) % 251);
    }
    write_file_atomically(folder / name, bytes);
  };
  for (int i = 1; i <= 5; ++i) write("data_batch_" + std::to_string(i) + ".bin", i < 5 ? 2 : 1);
  write("test_batch.bin", 4);
  std::string names;
  for (const std::string& name : load_cifar(Cifar::cifar10, folder.string()).class_names) {
    names += name + "\n";
  }
  write_file_atomically(folder / "names.txt", names);
  return folder.string();
}

}  // namespace msd::test
