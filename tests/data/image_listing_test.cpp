// SPDX-License-Identifier: MIT
#include "data/image_listing.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "kernels/error.h"
#include "tests/support/errors.h"
#include "tests/support/image_bytes.h"
#include "tests/support/temp_folder.h"

namespace msd {
namespace {

using test::Bytes;
using test::TempFolder;
using test::throws;

TEST(ListImageFiles, IsInByteOrderAndLeavesOutTheRest) {
  const TempFolder folder;
  for (const char* name :
       {"b.PNG", "a.jpg", "B.jpeg", "a10.bmp", "a2.ppm", "c.Pgm", "\xc3\xa4.JPEG", "notes.txt",
        "png", "c.png.gz", "c.gif", ".png", ".hidden.jpg"}) {
    folder.write(name, Bytes{1});
  }
  folder.write("sub.png/inner.png", Bytes{1});
  std::vector<std::string> expected;
  for (const char* name :
       {"B.jpeg", "a.jpg", "a10.bmp", "a2.ppm", "b.PNG", "c.Pgm", "\xc3\xa4.JPEG"}) {
    expected.push_back(folder.path(name));
  }
  EXPECT_EQ(list_image_files(folder.path().string()), expected);
  EXPECT_TRUE(throws<IoError>([&] { list_image_files(folder.path("none")); },
                              {folder.path("none"), "No such file"}));
}

TEST(ListImageFiles, FollowsLinks) {
  const TempFolder folder;
  folder.write("real", Bytes{1});
  folder.write("sub/inner.png", Bytes{1});
  std::filesystem::create_symlink("real", folder.path("b.png"));
  std::filesystem::create_symlink("nothing", folder.path("a.png"));
  std::filesystem::create_symlink("loop.png", folder.path("loop.png"));
  std::filesystem::create_directory_symlink("sub", folder.path("folder.png"));
  EXPECT_EQ(list_image_files(folder.path().string()),
            (std::vector<std::string>{folder.path("a.png"), folder.path("b.png"),
                                      folder.path("loop.png")}));
}

}  // namespace
}  // namespace msd
