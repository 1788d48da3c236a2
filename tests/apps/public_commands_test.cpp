// SPDX-License-Identifier: MIT
// The commands of both public implementations' READMEs, translated by the table of ours, are for
// the network that these implementations make of them.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <optional>
#include <regex>
#include <sstream>

#include "engine/files/file.h"
#include "tests/apps/option_walk.h"

namespace msd::test {
namespace {

Arguments words(const std::string& text) {
  std::istringstream in(text);
  Arguments all;
  for (std::string word; in >> word;) all.push_back(word);
  return all;
}

// The pieces in backticks: "`-batchSize N`, `-nEpochs N`".
std::vector<Arguments> code(const std::string& cell) {
  static const std::regex kCode("`([^`]*)`");
  std::vector<Arguments> pieces;
  for (std::sregex_iterator it(cell.begin(), cell.end(), kCode), end; it != end; ++it) {
    pieces.push_back(words((*it)[1]));
  }
  return pieces;
}

/// README's table "Torch7 | PyTorch | here".
class Translation {
 public:
  Translation() {
    // Of which one column has a sentence, or nothing.
    for (const char* option : {"-netType", "--arch", "--use-valid", "--gpu"}) {
      options_[option] = {};
    }
    const std::string readme =
        read_text_file(std::filesystem::path(MSD_SOURCE_FOLDER) / "README.md");
    static const std::regex kPipe("\\\\\\|");
    std::istringstream lines(std::regex_replace(readme, kPipe, "/"));
    static const std::regex kRow("\\|([^|]*)\\|([^|]*)\\|([^|]*)\\|");
    std::smatch cells;
    for (std::string line; std::getline(lines, line);) {
      if (!std::regex_match(line, cells, kRow)) continue;
      const std::vector<Arguments> here = code(cells[3]);
      for (const int theirs : {1, 2}) {
        const std::vector<Arguments> pieces = code(cells[theirs]);
        for (std::size_t i = 0; i < pieces.size() && pieces.size() == here.size(); ++i) {
          add(pieces[i], here[i]);
        }
      }
    }
    // Rows that README may have in other words.
    add({"-dataset", "imagenet"}, {"--dataset", "folder", "--image-size", "224"});
    add({"--data", "ImageNet"}, {"--dataset", "folder", "--image-size", "224"});
  }

  Arguments operator()(const std::string& command) const {
    Arguments theirs = words(command), here;
    for (std::size_t i = 0; i < theirs.size(); ++i) {
      Arguments given = {theirs[i]};
      while (i + 1 < theirs.size() && !theirs[i + 1].starts_with("-")) given.push_back(theirs[++i]);
      here = here + translated(given);
    }
    return here;
  }
  std::size_t size() const { return options_.size() + whole_.size(); }

 private:
  void add(const Arguments& theirs, const Arguments& here) {
    const bool for_any_value =
        theirs.size() == 2 && here.size() == 2 && (theirs[1] == here[1] || theirs[1] == "...");
    if (for_any_value) {
      options_.try_emplace(theirs[0], here[0]);
    } else {
      whole_[theirs] = here;
    }
  }
  Arguments translated(const Arguments& given) const {
    const auto found = options_.find(given[0]);
    if (found != options_.end() && !found->second) return {};
    if (const auto whole = whole_.find(given); whole != whole_.end()) return whole->second;
    if (found == options_.end()) return given;  // called the same here
    Arguments here = given;
    here[0] = *found->second;
    return here;
  }

  std::map<std::string, std::optional<std::string>> options_;  // nothing: left out here
  std::map<Arguments, Arguments> whole_;                       // with their value
};

// What --dry-run says of the network.
nlohmann::json costs(const Arguments& arguments) {
  const ProgramResult result =
      run_program("msd-train", arguments + Arguments{"--dry-run", "--json"});
  EXPECT_TRUE(succeeds(result));
  return nlohmann::json::parse(result.out);
}

TEST(PublicCommands, AreForThePublicNetworks) {
  const Translation translate;
  EXPECT_GT(translate.size(), 40u);
  struct Command {
    std::string text;
    std::int64_t batch, exits, ops, params;  // the costs of the public op counter
  };
  const std::string cifar100 = "--data-root D --data cifar100 --save S --arch msdnet ";
  const std::string imagenet =
      "--data-root D --data ImageNet --save S --arch msdnet --batch-size 256 --epochs 90 "
      "--nBlocks 5 --stepmode even --step 4 --base 4 --nChannels 32 --growthRate 16 "
      "--grFactor 1-2-4-4 --bnFactor 1-2-4-4 --use-valid --gpu 0,1,2,3 -j 16";
  const std::vector<Command> commands = {
      // gaohuang/MSDNet, README.md, "Training recipe"
      {"-netType msdnet -dataset cifar10 -batchSize 64 -nEpochs 300 -nBlocks 10 -stepmode even "
       "-step 2 -base 4",
       64, 10, 121563236, 4839544},
      {"-netType msdnet -dataset cifar10 -batchSize 64 -nEpochs 300 -nBlocks 7 -stepmode lin_grow "
       "-step 1 -base 1",
       64, 7, 137199686, 3885394},
      // kalviny/MSDNet-PyTorch, README.md, "Network Configurations"
      {cifar100 + "--batch-size 64 --epochs 300 --nBlocks 7 --stepmode even --step 2 --base 4 "
                  "--nChannels 16 -j 16",
       64, 7, 75937724, 3067960},
      {cifar100 + "--batch-size 64 --epochs 300 --nBlocks 5 --stepmode lin_grow --step 1 --base 1 "
                  "--nChannels 16 --use-valid -j 16",
       64, 5, 58480628, 2078924},
      {imagenet, 256, 5, 1360529624, 23958440}};
  for (const Command& command : commands) {
    SCOPED_TRACE(command.text);
    const nlohmann::json json = costs(translate(command.text));
    ASSERT_EQ(json.at("exits").size(), static_cast<std::size_t>(command.exits));
    EXPECT_EQ(json.at("exits").back().at("ops"), command.ops);
    EXPECT_EQ(json.at("params"), command.params);
    EXPECT_EQ(json.at("network").at("ops"), command.ops);
    EXPECT_EQ(json.at("training_step").at("batch"), command.batch);
  }
}

// The same with less said: what these READMEs always give is of the paper's network.
TEST(PublicCommands, OptionsOfTheNetworkChangeThePublicOneOfTheData) {
  const auto ops = [](const Arguments& arguments) {
    return costs(arguments).at("network").at("ops").get<std::int64_t>();
  };
  EXPECT_EQ(ops({"--blocks", "7", "--init-channels", "16", "--classes", "100"}), 75937724);
  EXPECT_EQ(ops({"--dataset", "cifar10", "--blocks", "10"}), 121563236);
  EXPECT_EQ(ops({"--dataset", "cifar100", "--step", "2"}), 75937724);
  EXPECT_EQ(ops({"--input-kind", "imagenet"}), 1360529624);
  EXPECT_EQ(ops({"--input-kind", "imagenet", "--step", "7", "--base", "7"}), 3253794488);
  EXPECT_EQ(ops({"--dataset", "folder", "--image-size", "224"}), 1360529624);
  EXPECT_EQ(ops({"--dataset", "cifar100", "--classes", "100"}), 75937724);
  EXPECT_EQ(ops({"--image-size", "32"}), 121563236);
}

}  // namespace
}  // namespace msd::test
