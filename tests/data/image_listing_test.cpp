// SPDX-License-Identifier: MIT
#include "data/image_listing.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "kernels/error.h"
#include "tests/support/errors.h"
#include "tests/support/image_bytes.h"
#include "tests/support/temp_folder.h"

namespace msd {
namespace {

namespace fs = std::filesystem;

using test::Bytes;
using test::TempFolder;
using test::throws;

/// Paths below `folder`, without it; "!" after those with a fault.
std::vector<std::string> below(const fs::path& folder, const ImageListing& listing) {
  std::vector<std::string> names;
  for (const ListedImage& image : listing.images) {
    names.push_back(fs::path(image.path).lexically_relative(folder).string() +
                    (image.fault.empty() ? "" : "!"));
  }
  return names;
}

std::vector<std::string> list(const TempFolder& folder) {
  return below(folder.path(), list_image_files(folder.path().string()));
}

TEST(ListImageFiles, IsInByteOrderAndLeavesOutTheRest) {
  const TempFolder folder;
  for (const char* name :
       {"b.PNG", "a.jpg", "B.jpeg", "a10.bmp", "a2.ppm", "c.Pgm", "\xc3\xa4.JPEG", "notes.txt",
        "png", "c.png.gz", "c.doc", ".png", ".hidden.jpg"}) {
    folder.write(name, Bytes{1});
  }
  EXPECT_EQ(list(folder), (std::vector<std::string>{"B.jpeg", "a.jpg", "a10.bmp", "a2.ppm", "b.PNG",
                                                    "c.Pgm", "\xc3\xa4.JPEG"}));
  EXPECT_EQ(list_image_files(folder.path("")).images[0].path, folder.path("B.jpeg"));
  EXPECT_TRUE(throws<IoError>([&] { list_image_files(folder.path("none")); },
                              {folder.path("none"), "No such file"}));
  EXPECT_TRUE(throws<IoError>([&] { list_image_files(folder.path("a.jpg")); },
                              {folder.path("a.jpg"), "Not a directory"}));
}

// Expected is what Python's `for root, _, names in sorted(os.walk(folder, followlinks=True))` with
// `sorted(names)` gives, as in torchvision's make_dataset.
TEST(ListImageFiles, GoesThroughFoldersInTheOrderOfTorchvision) {
  const TempFolder folder;
  for (const char* name :
       {"b.png", "a.jpg", "sub/z.png", "sub/a.png", "sub a/1.png", "sub-1.png", "sub/deep/0.PNG",
        "Sub/x.png", "a/1.png", "\xc3\xa4/1.png", "png.png/notes.txt", ".cache/1.png"}) {
    folder.write(name, Bytes{1});
  }
  const TempFolder elsewhere;
  elsewhere.write("e.png", Bytes{1});
  fs::create_directory_symlink(elsewhere.path(), folder.path("sub/link"));
  EXPECT_EQ(list(folder),
            (std::vector<std::string>{"a.jpg", "b.png", "sub-1.png", "Sub/x.png", "a/1.png",
                                      "sub/a.png", "sub/z.png", "sub a/1.png", "sub/deep/0.PNG",
                                      "sub/link/e.png", "\xc3\xa4/1.png"}));
}

TEST(ListImageFiles, CountsWhatItLeavesOut) {
  const TempFolder folder;
  folder.write("a.png", Bytes{1});
  EXPECT_EQ(list_image_files(folder.path().string()).left_out.text(), "");
  folder.write("sub/notes.TXT", Bytes{1});
  const auto text = [&] { return list_image_files(folder.path().string()).left_out.text(); };
  EXPECT_EQ(text(), "1 file that is no image by its name (.txt)");
  for (const char* name : {"more.txt", "a.json", "README", ".a.png", "sub/.cache/a.png"}) {
    folder.write(name, Bytes{1});
  }
  ASSERT_EQ(::mkfifo(folder.path("pipe.png").c_str(), 0600), 0);
  EXPECT_EQ(text(),
            "4 files that are no images by their names (.json, .txt), 2 hidden, 1 pipe, socket or "
            "device");
  for (const char* name : {"1.a", "1.b", "1.c", "1.d"}) folder.write(name, Bytes{1});
  EXPECT_EQ(text().substr(0, 73),
            "8 files that are no images by their names (.a, .b, .c, .d, .json, ...), 2");
  LeftOut twice = list_image_files(folder.path().string()).left_out;
  twice.add(twice);
  twice.beside_classes = 1;
  EXPECT_EQ(twice.text().substr(0, 3), "16 ");
  EXPECT_NE(twice.text().find("4 hidden, 2 pipes, sockets or devices, 1 file beside the class"),
            std::string::npos);
}

TEST(ListImageFiles, ListsLinksThatLeadNowhere) {
  const TempFolder folder;
  folder.write("real", Bytes{1});
  fs::create_symlink("real", folder.path("b.png"));
  fs::create_symlink("nothing", folder.path("a.png"));
  fs::create_symlink("loop.png", folder.path("loop.png"));
  fs::create_directory_symlink("gone", folder.path("more"));
  EXPECT_EQ(list(folder), (std::vector<std::string>{"a.png", "b.png", "loop.png", "more"}));
}

TEST(ListImageFiles, SaysWhichLinksLeadInCircles) {
  const TempFolder folder;
  folder.write("in/a.png", Bytes{1});
  folder.write("in/sub/b.png", Bytes{1});
  folder.write("other/c.png", Bytes{1});
  fs::create_directory_symlink(".", folder.path("in/self"));
  fs::create_directory_symlink("../..", folder.path("in/sub/up"));  // above the folder itself
  fs::create_directory_symlink("../in/sub", folder.path("other/back"));
  const ImageListing listing = list_image_files(folder.path("in"));
  EXPECT_EQ(below(folder.path("in"), listing),
            (std::vector<std::string>{"a.png", "self!", "sub/b.png", "sub/up/in!",
                                      "sub/up/other/back!", "sub/up/other/c.png"}));
  EXPECT_NE(listing.images[1].fault.find("leads back"), std::string::npos);
  // A folder reached in two ways that are no circle is there twice, as in torchvision.
  const TempFolder twins;
  twins.write("a/1.png", Bytes{1});
  fs::create_directory_symlink("a", twins.path("b"));
  EXPECT_EQ(list(twins), (std::vector<std::string>{"a/1.png", "b/1.png"}));
}

// 12 folders that link to each other have 12! paths.
TEST(ListImageFiles, GivesUpInAMazeOfLinks) {
  const TempFolder folder;
  const auto name = [](int i) { return "f" + std::to_string(i); };
  for (int i = 0; i < 12; ++i) {
    folder.write(name(i) + "/a.png", Bytes{1});
    for (int j = 0; j < 12; ++j) {
      fs::create_directory_symlink("../" + name(j), folder.path(name(i)) + "/to" + name(j));
    }
  }
  EXPECT_TRUE(throws<FormatError>([&] { list(folder); }, {"100 links", folder.path().string()}));
}

TEST(ListImageFiles, GoesDeep) {
  const TempFolder folder;
  std::string path;
  for (int i = 0; i < 40; ++i) path += "d/";
  folder.write(path + "a.png", Bytes{1});
  EXPECT_EQ(list(folder), (std::vector<std::string>{path + "a.png"}));
}

/// Root may list and open everything: for a while the process is nobody.
class Unprivileged {
 public:
  Unprivileged() { EXPECT_TRUE(::geteuid() != 0 || ::seteuid(65534) == 0); }
  ~Unprivileged() { EXPECT_EQ(::seteuid(::getuid()), 0); }
};

TEST(ListImageFiles, SaysWhichFoldersItMayNotList) {
  const TempFolder folder;
  folder.write("a.png", Bytes{1});
  folder.write("b/a.png", Bytes{1});
  folder.write("c/a.png", Bytes{1});
  fs::permissions(folder.path(), fs::perms::all);
  fs::permissions(folder.path("b"), fs::perms::none);
  {
    const Unprivileged nobody;
    const ImageListing listing = list_image_files(folder.path().string());
    EXPECT_EQ(below(folder.path(), listing), (std::vector<std::string>{"a.png", "b!", "c/a.png"}));
    EXPECT_EQ(listing.images[1].fault, "cannot list this folder: Permission denied");
    EXPECT_TRUE(throws<IoError>([&] { list_image_files(folder.path("b")); },
                                {folder.path("b"), "Permission denied"}));
  }
  fs::permissions(folder.path("b"), fs::perms::owner_all);
}

}  // namespace
}  // namespace msd
