// SPDX-License-Identifier: MIT
// What the documents and --help say of options is true.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>
#include <sstream>

#include "engine/files/file.h"
#include "tests/apps/option_walk.h"

namespace msd::test {
namespace {

const std::regex kOption("--[a-z][a-z0-9-]*");

std::string source(const std::string& name) {
  return read_text_file(std::filesystem::path(MSD_SOURCE_FOLDER) / name);
}

// With commands that go on over lines as one line, and of a table row only the last cell: the
// others are about other people's programs.
std::string unfolded(const std::string& text) {
  static const std::regex kFolded("\\s*\\\\?\n\\s+--"), kPipe("\\\\\\|"),
      kRow("\n\\|.*\\|([^|\n]*)\\|");
  const std::string lines = std::regex_replace(text, kFolded, " --");
  return std::regex_replace(std::regex_replace(lines, kPipe, "/"), kRow, "\n$1");
}

std::vector<std::string> matches(const std::string& text, const std::regex& pattern,
                                 int group = 0) {
  std::vector<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it) {
    found.push_back((*it)[static_cast<std::size_t>(group)]);
  }
  return found;
}

class Documents : public testing::Test {
 protected:
  // Every option given to a program exists in that program.
  void expect_commands_work(const std::string& text) {
    static const std::regex kCommand("(msd-[a-z]+)((?: [^|;)`\n]*)?)");
    for (std::sregex_iterator it(text.begin(), text.end(), kCommand), end; it != end; ++it) {
      const auto program = options_.find((*it)[1]);
      if (program == options_.end()) continue;
      for (const std::string& option : matches((*it)[2], kOption)) {
        EXPECT_TRUE(option == "--help" || program->second.contains(option)) << it->str();
        ++checked_;
      }
    }
  }

  std::map<std::string, std::set<std::string>> options_ = {
      {"msd-convert", declared_options("msd-convert")},
      {"msd-train", declared_options("msd-train")},
      {"msd-eval", declared_options("msd-eval")},
      {"msd-infer", declared_options("msd-infer")}};
  int checked_ = 0;
};

TEST_F(Documents, CommandsWork) {
  for (const char* document :
       {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "scripts/quickstart.sh"}) {
    SCOPED_TRACE(document);
    expect_commands_work(unfolded(source(document)));
  }
  EXPECT_GT(checked_, 30);  // the patterns above still find what there is
}

// `--option` alone is one of a program's; `script.sh --option` is in that script.
TEST_F(Documents, OptionsNamedAloneExist) {
  static const std::regex kFence("```[^`]*```"), kCode("`([^`]+)`");
  int found = 0;
  for (const char* document : {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"}) {
    SCOPED_TRACE(document);
    const std::string text = std::regex_replace(unfolded(source(document)), kFence, "");
    for (const std::string& code : matches(text, kCode, 1)) {
      const std::string first = code.substr(0, code.find(' '));
      for (const std::string& option : matches(code, kOption)) {
        if (first.ends_with(".sh")) {
          const std::string name = first.substr(first.rfind('/') + 1);
          EXPECT_NE(source("scripts/" + name).find(option), std::string::npos) << code;
        } else if (first.starts_with("--")) {
          const bool exists =
              option == "--help" ||
              std::any_of(options_.begin(), options_.end(),
                          [&](const auto& program) { return program.second.contains(option); });
          EXPECT_TRUE(exists) << code;
          ++found;
        }
      }
    }
  }
  EXPECT_GT(found, 30);
}

TEST_F(Documents, ProgramsNamedExist) {
  static const std::regex kProgram("(?:^|[^A-Za-z0-9_-])(msd-[a-z]+)(?![a-z0-9-])");
  const std::string benchmarks = source("bench/CMakeLists.txt");
  for (const char* document :
       {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "scripts/quickstart.sh"}) {
    for (const std::string& program : matches(source(document), kProgram, 1)) {
      EXPECT_TRUE(std::filesystem::exists(std::string(MSD_PROGRAM_DIR) + "/" + program) ||
                  benchmarks.find("add_executable(" + program) != std::string::npos)
          << document << ": " << program;
    }
  }
}

// An option that takes a value shows its default, unless leaving it out means that there is none.
TEST_F(Documents, HelpTellsDefaults) {
  const std::set<std::string> off = {
      "--data",        "--split",     "--exit-weights", "--weights",    "--tensors", "--save-state",
      "--output",      "--threshold", "--thresholds",   "--budget",     "--p",       "--exit",
      "--deadline-ms", "--logits",    "--bandwidth",    "--matrix-rate"};
  static const std::regex kValue("^  (--[a-z0-9-]+) (TEXT|INT|UINT|FLOAT)(\\S* )?.*$");
  for (const auto& [program, options] : options_) {
    std::istringstream lines(run_program(program, {"--help"}).out);
    bool of_network = false;  // these say it in their title
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with(" ")) of_network = line.find("defaults:") != std::string::npos;
      std::smatch match;
      if (of_network || !std::regex_match(line, match, kValue) || off.contains(match[1])) continue;
      const std::string declared = line.substr(0, line.find("  ", 2));
      // "=VALUE", or "[VALUE]" from CLI11 2.4 on.
      EXPECT_TRUE(declared.find_first_of("=[") != std::string::npos ||
                  declared.find("REQUIRED") != std::string::npos)
          << program << ": " << line;
    }
  }
}

TEST_F(Documents, AMisspeltOptionIsGuessed) {
  const std::map<std::string, Arguments> required = {
      {"msd-train", {}},
      {"msd-convert", {"w"}},
      {"msd-eval", {"--weights", "w"}},
      {"msd-infer", {"--weights", "w", "--part", "test"}}};
  for (const auto& [program, options] : options_) {
    for (const std::string& option : options) {
      if (!option.starts_with("--")) continue;
      const std::string misspelt = option.substr(0, 3) + "x" + option.substr(3);
      EXPECT_TRUE(fails(run_program(program, required.at(program) + Arguments{misspelt}), 2,
                        {misspelt, "did you mean " + option + "?"}));
    }
  }
}

}  // namespace
}  // namespace msd::test
