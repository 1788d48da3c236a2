// SPDX-License-Identifier: MIT
// What each option of the programs says of a value that it cannot have.
#include <gtest/gtest.h>

#include <regex>

#include "apps/convert/convert_options.h"
#include "apps/eval/eval_options.h"
#include "apps/infer/infer_options.h"
#include "apps/train/train_options.h"
#include "tests/apps/programs.h"
#include "tests/apps/train_here.h"

namespace msd::test {
namespace {

// The command line of a program alone; nothing is done where it is right.
template <typename Options>
ProgramResult parsed(const std::string& program, Arguments arguments) {
  arguments.insert(arguments.begin(), program);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  const CapturedOutput output;
  CommandLine line("", program);
  Options options;
  options.add_to(line);
  const int code = line.run(static_cast<int>(argv.size()), argv.data(), [] { return 0; });
  return {code, "", output.text()};
}

struct Program {
  std::string name;
  Arguments base;  // without which it would be refused anyway
  ProgramResult (*parse)(const std::string& program, Arguments arguments);

  ProgramResult operator()(const Arguments& more) const { return parse(name, base + more); }
};

const std::vector<Program> kPrograms = {
    {"msd-train", {}, parsed<msd::TrainOptions>},
    {"msd-eval", {"--weights", "w"}, parsed<msd::EvalOptions>},
    {"msd-infer", {"--weights", "w", "--part", "test"}, parsed<msd::InferOptions>},
    {"msd-convert", {"w"}, parsed<msd::ConvertOptions>}};

const Program& program(const std::string& name) {
  return *std::find_if(kPrograms.begin(), kPrograms.end(),
                       [&](const Program& program) { return program.name == name; });
}

// The options of --help with a type that matches, by their long names.
std::vector<std::string> options_of_type(const Program& program, const std::string& types) {
  const std::string help = program.parse(program.name, {"--help"}).err;
  const std::regex row("\n  (--[a-z0-9-]+)(,--[a-z0-9-]+)? (" + types + ")");
  std::vector<std::string> names;
  for (std::sregex_iterator it(help.begin(), help.end(), row), end; it != end; ++it) {
    names.push_back((*it)[1]);
  }
  return names;
}

TEST(OptionValues, NoNumberIsNanInfiniteEmptyOrInAnotherNotation) {
  std::size_t checked = 0;
  for (const Program& program : kPrograms) {
    for (const std::string& option : options_of_type(program, "INT|UINT|FLOAT|QUANTITY")) {
      ++checked;
      for (const char* value : {"nan", "-nan", "inf", "-inf", "", "x", "1e999", "0x10", "+1", " 1",
                                "1 ", "1,", "99999999999999999999x"}) {
        // With "=" an empty value would be a missing one.
        const ProgramResult result = program({option, value});
        EXPECT_TRUE(fails(result, 2, {program.name + ": " + option + ": \"" + value + "\" is "}));
      }
    }
  }
  EXPECT_GT(checked, 60u);
}

TEST(OptionValues, TextsAreNeitherEmptyNorTheNextOption) {
  std::size_t checked = 0;
  for (const Program& program : kPrograms) {
    for (const std::string& option : options_of_type(program, "TEXT")) {
      ++checked;
      EXPECT_TRUE(fails(program({option, "--json"}), 2, {option + ": ", "--json"}));
      EXPECT_TRUE(fails(program({option}), 2, {option + " needs a value"}));
      if (option == "--exit-weights" || option == "--lr-milestones") continue;
      EXPECT_TRUE(fails(program({option, ""}), 2, {option + ": its value is empty"}));
    }
  }
  EXPECT_GT(checked, 40u);
}

struct Refused {
  std::string option;
  std::vector<std::string> values;
  std::string allowed;
};

void expect_refused(const Program& program, const std::vector<Refused>& all) {
  for (const Refused& refused : all) {
    for (const std::string& value : refused.values) {
      EXPECT_TRUE(fails(program({refused.option, value}), 2, {refused.option, refused.allowed}))
          << refused.option << ' ' << value;
    }
  }
}

TEST(OptionValues, RangesAreSaidInWords) {
  expect_refused(program("msd-train"),
                 {{"--epochs", {"0", "-1"}, "1 to 1000000"},
                  {"--batch-size", {"0", "-1", "1000001"}, "1 to 1000000"},
                  {"--lr", {"0", "-0.1"}, "above 0"},
                  {"--momentum", {"-0.1", "1", "1.5"}, "at least 0 and below 1"},
                  {"--weight-decay", {"-1e-4"}, "at least 0"},
                  {"--lr-gamma", {"0", "-1"}, "above 0"},
                  {"--warmup-epochs", {"-1"}, "at least 0"},
                  {"--holdout", {"-2"}, "at least -1"},
                  {"--workers", {"-1", "257"}, "0 to 256"},
                  {"--threads", {"-1", "4097"}, "0 to 4096"},
                  {"--save-every", {"-1"}, "at least 0"},
                  {"--log-interval", {"-1"}, "at least 0"},
                  {"--keep", {"-1", "nan", "some", "1e5"}, "neither a number nor all"},
                  {"--lr-milestones", {"nan", "inf%", "50%,,75%", "50%,", "-5", "x"}, "like 50%"},
                  {"--exit-weights", {"nan", "1,inf", "1,,2", "1,", "1e999", "x"}, "like 1,1,2"},
                  {"--exit-weights", {"-1,2"}, "negative"},
                  {"--exit-weights", {"0", "0,0,0"}, "nothing to learn"}});
  expect_refused(program("msd-eval"), {{"--batch-size", {"-1", "65537"}, "0 to 65536"},
                                       {"--time-images", {"-1"}, "at least 0"}});
  expect_refused(program("msd-infer"), {{"--threshold", {"-0.1", "1.1"}, "0 to 1"},
                                        {"--deadline-ms", {"0", "-1"}, "above 0"},
                                        {"--limit", {"0", "-3"}, "at least 1"},
                                        {"--exit", {"0", "-1"}, "at least 1"},
                                        {"--top", {"0", "6"}, "1 to 5"}});
  expect_refused(program("msd-convert"),
                 {{"--exit", {"0"}, "at least 1"}, {"--holdout", {"-2"}, "at least -1"}});
  // No limit of a machine's numbers, which nobody reads.
  for (const Program& program : kPrograms) {
    const std::string help = program.parse(program.name, {"--help"}).err;
    EXPECT_FALSE(std::regex_search(help, std::regex("[0-9]{8}"))) << program.name;
  }
}

TEST(OptionValues, TheEdgesAreAllowed) {
  const auto takes = [](const std::string& name, const Arguments& arguments) {
    return succeeds(program(name)(arguments));
  };
  EXPECT_TRUE(takes("msd-train", {"--momentum", "0", "--weight-decay", "0", "--warmup-epochs", "0",
                                  "--epochs", "1", "--batch-size", "1", "--holdout", "-1",
                                  "--exit-weights", "0,1", "--lr", "1e-30", "--keep", "all"}));
  EXPECT_TRUE(takes("msd-train", {"--exit-weights", "", "--lr-milestones", ""}));
  EXPECT_TRUE(takes("msd-train", {"--lr-milestones", "0,12.5%,300", "--momentum", "0.999"}));
  EXPECT_TRUE(takes("msd-infer", {"--threshold", "0"}));
  EXPECT_TRUE(takes("msd-infer", {"--threshold", "1", "--limit", "1", "--top", "5"}));
  EXPECT_TRUE(takes("msd-infer", {"--json=false", "--verbose=true"}));
}

TEST(OptionValues, AnUnknownOptionIsNamedFirst) {
  EXPECT_TRUE(fails(program("msd-infer")({"--dataset", "synthetic", "--batch", "7"}), 2,
                    {"unknown option --batch"}));
  const ProgramResult guessed = program("msd-train")({"--batch", "7", "--lr", "nan"});
  EXPECT_TRUE(fails(guessed, 2, {"unknown option --batch", "did you mean --batch-size?"}));
  // After what else is wrong: a value, a missing one, a conflict, an argument too many.
  for (const Arguments& wrong :
       std::vector<Arguments>{{"--lr", "nan"}, {"--epochs"}, {"--resume", "--overwrite"}, {"x"}}) {
    EXPECT_TRUE(fails(program("msd-train")(wrong + Arguments{"--batch=7"}), 2,
                      {"unknown option --batch=7"}));
  }
  EXPECT_TRUE(fails(program("msd-train")({"--lr", "nan", "-x"}), 2, {"unknown option -x"}));
  EXPECT_TRUE(fails(parsed<msd::EvalOptions>("msd-eval", {"--batch", "7"}),
                    2,  // --weights is missing
                    {"unknown option --batch"}));
}

TEST(OptionValues, FlagsAndRepetitions) {
  EXPECT_TRUE(
      fails(program("msd-train")({"--json=maybe"}), 2, {"--json", "maybe", "true nor false"}));
  EXPECT_TRUE(fails(program("msd-infer")({"--limit", "2", "--limit", "3"}), 2,
                    {"--limit is given 2 times"}));
  EXPECT_TRUE(succeeds(program("msd-train")({"--lr", "0.2", "--lr", "0.3"})));
}

}  // namespace
}  // namespace msd::test
