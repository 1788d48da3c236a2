// SPDX-License-Identifier: MIT
#include "apps/eval/report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/files/file.h"
#include "kernels/error.h"
#include "tests/support/temp_folder.h"

namespace msd::test {
namespace {

Report make_report() {
  Report report({{"exit", "exit", show_integer},
                 {"top1", "top-1 %", show_percent},
                 {"", "shares", show_shares},
                 {"threshold", "", nullptr}});
  report.add_row({1, 0.125, std::vector<double>{0.25, 0.75}, 0.5});
  report.add_row({2, {}, std::vector<double>{1.0, 0.0}, {}});
  return report;
}

TEST(Report, TableShowsWhatHasATitle) {
  std::ostringstream out;
  make_report().print_table(out);
  EXPECT_EQ(out.str(),
            "exit  top-1 %  shares\n"
            "   1    12.50   25/75\n"
            "   2        -   100/0\n");
}

TEST(Report, CsvAndJsonHoldWhatHasAKey) {
  EXPECT_EQ(make_report().csv(), "exit,top1,threshold\n1,0.125,0.5\n2,,\n");
  EXPECT_EQ(make_report().json().dump(),
            R"([{"exit":1,"top1":0.125,"threshold":0.5},{"exit":2,"top1":null,"threshold":null}])");
}

TEST(Report, IsWrittenByTheNamesEnding) {
  const TempFolder folder;
  const auto write = [&](const std::string& name) {
    return write_report((folder / name).string(), "budget", "a,b\n", {{"a", 1}},
                        ReportFormat::table);
  };
  EXPECT_EQ(write("x.csv"), std::vector<std::string>{(folder / "x.csv").string()});
  EXPECT_EQ(read_text_file(folder / "x.csv"), "a,b\n");
  write("x.json");
  EXPECT_EQ(nlohmann::json::parse(read_text_file(folder / "x.json")).at("a"), 1);
  EXPECT_EQ(write("a/b").size(), 2u);
  EXPECT_EQ(read_text_file(folder.path() / "a" / "b" / "budget.csv"), "a,b\n");
  EXPECT_THROW(write("x.csv/y"), IoError);
}

}  // namespace
}  // namespace msd::test
