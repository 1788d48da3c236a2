// SPDX-License-Identifier: MIT
#include "data/image_folder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <optional>
#include <span>

#include "data/image_file.h"
#include "data/image_resize.h"
#include "kernels/cpu/device/thread_pool.h"
#include "kernels/error.h"
#include "tests/support/errors.h"
#include "tests/support/image_bytes.h"
#include "tests/support/temp_folder.h"

namespace msd {
namespace {

using test::TempFolder;
using test::throws;

using test::bmp;
using test::Bytes;
using test::jpeg;
using test::noise;
using test::png;
using test::ppm;

namespace fs = std::filesystem;

/// Two classes of 4 x 6 pixels: image i of the list below is noise(4, 6, i).
class ImageFolder : public testing::Test {
 protected:
  ImageFolder() {
    write("train/cat/b.ppm", 1);
    write("train/cat/a10.ppm", 2);
    write("train/cat/a2.ppm", 3);
    write("train/Dog/x.ppm", 4);
    write("test/Dog/1.ppm", 5);
    write("test/cat/2.ppm", 6);
    write("test/cat/1.ppm", 7);
  }

  void write(const std::string& name, std::uint64_t seed) const {
    folder_.write(name, ppm(noise(4, 6, seed)));
  }
  void remove(const std::string& name) const { fs::remove_all(folder_.path(name)); }
  Dataset load(const std::optional<ImageFit>& fit = {}) const {
    return load_image_folder(folder_.path().string(), fit);
  }
  template <typename E>
  void refuses(std::initializer_list<std::string_view> parts) const {
    EXPECT_TRUE(throws<E>([&] { load(); }, parts));
  }

  TempFolder folder_;
};

void expect_images(const ImageSet& set, const std::vector<Image>& images) {
  ASSERT_EQ(set.size(), static_cast<std::int64_t>(images.size()));
  EXPECT_EQ(set.c, 3);
  for (std::int64_t i = 0; i < set.size(); ++i) {
    const Image& want = images[static_cast<std::size_t>(i)];
    ASSERT_EQ(set.h, want.h);
    ASSERT_EQ(set.w, want.w);
    EXPECT_EQ(Bytes(set.image(i).begin(), set.image(i).end()), want.pixels) << "image " << i;
  }
}

std::vector<Image> noises(const std::vector<std::uint64_t>& seeds) {
  std::vector<Image> images;
  for (const std::uint64_t seed : seeds) images.push_back(noise(4, 6, seed));
  return images;
}

TEST_F(ImageFolder, ReadsClassesAndImagesInByteOrder) {
  const Dataset data = load();
  EXPECT_EQ(data.name, "folder");
  EXPECT_EQ(data.class_names, (std::vector<std::string>{"Dog", "cat"}));
  expect_images(data.train, noises({4, 2, 3, 1}));
  EXPECT_EQ(data.train.labels, (std::vector<std::int32_t>{0, 1, 1, 1}));
  expect_images(data.test, noises({5, 7, 6}));
  EXPECT_EQ(data.test.labels, (std::vector<std::int32_t>{0, 1, 1}));
  EXPECT_EQ(data.train.names,
            (std::vector<std::string>{"Dog/x.ppm", "cat/a10.ppm", "cat/a2.ppm", "cat/b.ppm"}));
  EXPECT_EQ(data.fingerprint, fingerprint(data.train, data.test));
}

TEST_F(ImageFolder, TestImagesMayBeCalledVal) {
  const std::string before = load().fingerprint;
  fs::rename(folder_.path("test"), folder_.path("val"));
  EXPECT_EQ(load().fingerprint, before);
  write("test/cat/1.ppm", 7);
  refuses<FormatError>({folder_.path().string(), "both test and val", "rename"});
}

TEST_F(ImageFolder, ReadsEveryFormat) {
  const Image image = noise(8, 16);
  remove("train/cat");
  remove("train/Dog");
  folder_.write("train/cat/1.PNG", png(8, 16, 3, image.pixels));
  folder_.write("train/cat/2.bmp", bmp(image));
  folder_.write("train/cat/3.JPEG", jpeg());
  folder_.write("train/cat/4.ppm", ppm(image));
  const std::string jpg = folder_.write("train/Dog/1.jpg", jpeg());
  remove("test");
  fs::copy(folder_.path("train"), folder_.path("test"), fs::copy_options::recursive);
  const Image decoded = decode_image_file(jpg);
  expect_images(load().train, {decoded, image, image, decoded, image});
}

TEST_F(ImageFolder, LeavesOutWhatIsNoImageAndCountsIt) {
  const Dataset before = load();
  EXPECT_TRUE(before.remarks.empty());
  const Bytes junk = {1, 2, 3};
  for (const char* name :
       {"notes.txt", "train/notes.txt", "train/stray.png", "test/stray.png", "train/cat/notes.txt",
        "train/cat/.a.png", "train/cat/x.png.part", "test/cat/more/b.txt", "train/.cache/a.png",
        "test/.cache/a.png", "extra/cat/a.png"}) {
    folder_.write(name, junk);
  }
  const Dataset after = load();
  EXPECT_EQ(after.fingerprint, before.fingerprint);
  EXPECT_EQ(after.remarks,
            (std::vector<std::string>{
                "left out of " + folder_.path().string() +
                ": 3 files that are no images by their names (.part, .txt), 3 hidden, 3 files "
                "beside the class folders"}));
}

TEST_F(ImageFolder, ReadsNestedFolders) {
  write("train/cat/more/a.ppm", 8);
  write("train/cat/more/even/0.ppm", 9);
  write("train/cat/folder.ppm/z.ppm", 10);
  remove("test/Dog/1.ppm");
  write("test/Dog/all/of/them/1.ppm", 5);
  const Dataset data = load();
  expect_images(data.train, noises({4, 2, 3, 1, 10, 8, 9}));
  EXPECT_EQ(data.train.labels, (std::vector<std::int32_t>{0, 1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(data.train.names, (std::vector<std::string>{"Dog/x.ppm", "cat/a10.ppm", "cat/a2.ppm",
                                                        "cat/b.ppm", "cat/folder.ppm/z.ppm",
                                                        "cat/more/a.ppm", "cat/more/even/0.ppm"}));
  expect_images(data.test, noises({5, 7, 6}));
  EXPECT_EQ(data.test.names[0], "Dog/all/of/them/1.ppm");
  EXPECT_TRUE(data.remarks.empty());
}

// Found by the program before nested folders were read.
TEST_F(ImageFolder, WithoutNestedFoldersTheFingerprintStays) {
  EXPECT_EQ(load().fingerprint, "xxh3-128:39a60e05dbe1adad9a6de79a25a90faa");
}

TEST_F(ImageFolder, FollowsLinks) {
  const std::string before = load().fingerprint;
  fs::rename(folder_.path("train/cat"), folder_.path("elsewhere"));
  fs::create_directory_symlink(folder_.path("elsewhere"), folder_.path("train/cat"));
  fs::rename(folder_.path("train/Dog/x.ppm"), folder_.path("x"));
  fs::create_symlink(folder_.path("x"), folder_.path("train/Dog/x.ppm"));
  fs::rename(folder_.path("test"), folder_.path("other"));
  fs::create_directory_symlink("other", folder_.path("test"));
  EXPECT_EQ(load().fingerprint, before);
}

TEST_F(ImageFolder, NamesLinksThatLeadNowhere) {
  fs::create_symlink("nothing", folder_.path("train/cat/c.png"));
  refuses<FormatError>({folder_.path("train/cat/c.png"), "No such file", "repair or remove"});
  remove("train/cat/c.png");
  fs::create_symlink("nothing", folder_.path("train/cow"));
  refuses<IoError>({folder_.path("train/cow"), "No such file", "repair or remove"});
  fs::create_symlink("nothing", folder_.path("train/elk"));
  refuses<IoError>({folder_.path("train/cow") + " is a link", folder_.path("train/elk") + " is a"});
  remove("train/elk");
  remove("train/cow");
  fs::create_symlink("cow", folder_.path("train/cow"));
  refuses<IoError>({folder_.path("train/cow"), "symbolic links"});
}

TEST_F(ImageFolder, BringsImagesToOneSize) {
  const Image wide = noise(5, 9), small = noise(2, 2);
  folder_.write("train/Dog/x.ppm", ppm(wide));
  folder_.write("test/Dog/1.ppm", ppm(small));
  const ImageFit fit = {4, 3, Interpolation::bicubic};
  const Dataset data = load(fit);
  std::vector<Image> train = {wide, noise(4, 6, 2), noise(4, 6, 3), noise(4, 6, 1)};
  std::vector<Image> test = {small, noise(4, 6, 7), noise(4, 6, 6)};
  for (std::vector<Image>* images : {&train, &test}) {
    for (Image& image : *images) image = fit_to(image, fit);
  }
  expect_images(data.train, train);
  expect_images(data.test, test);
}

TEST_F(ImageFolder, WithoutASizeImagesMustAgree) {
  const std::string odd = folder_.write("test/cat/1.ppm", ppm(noise(6, 4)));
  refuses<FormatError>({odd, "4x6", "not 6x4", "--image-size N"});
  const std::string first = folder_.write("train/cat/a10.ppm", ppm(noise(4, 5)));
  refuses<FormatError>({first, "5x4", "not 6x4"});
}

TEST_F(ImageFolder, RefusesSizesThatCannotBe) {
  const std::string thin = folder_.write("train/cat/c.ppm", ppm(noise(1, 20'000)));
  EXPECT_TRUE(throws<FormatError>(
      [&] {
        load(ImageFit{100, 100});
      },
      {thin, "20000x1", "too many"}));
  for (const std::int64_t size : {-1, 0, 10'001}) {
    EXPECT_TRUE(throws<ConfigError>([&] { load(ImageFit{size, size}); }, {std::to_string(size)}));
  }
}

TEST_F(ImageFolder, ThreadsDoNotMatter) {
  for (std::uint64_t i = 0; i < 40; ++i) {
    const auto side = static_cast<std::int64_t>(i % 7 + 3);
    folder_.write("train/cat/n" + std::to_string(i) + ".ppm", ppm(noise(side, side + 1, i)));
  }
  const ImageFit fit = {5, 5};
  const Dataset alone = load(fit);
  for (const int threads : {1, 2, 5}) {
    cpu::ThreadPool pool(threads);
    const Dataset data = load_image_folder(folder_.path().string(), fit, &pool);
    EXPECT_EQ(data.fingerprint, alone.fingerprint) << threads;
    EXPECT_EQ(data.mean, alone.mean);
    EXPECT_EQ(data.std, alone.std);
  }
}

TEST_F(ImageFolder, NamesAllBadFilesInOrderWhateverTheThreads) {
  std::vector<std::string> bad;
  const auto cut_bmp = [&](const std::string& name, std::int64_t h) {
    Bytes bytes = bmp(Image{h, 1000, Bytes(static_cast<std::size_t>(h * 3000), 7)});
    bytes.pop_back();
    bad.push_back(folder_.write(name, bytes) + ": ");
  };
  cut_bmp("train/cat/c1.bmp", 1000);  // takes longest to be found bad
  cut_bmp("train/cat/c2.bmp", 1);
  bad.push_back(folder_.write("train/cat/sub/e.ppm", Bytes{}) + ": ");
  fs::create_symlink("nothing", folder_.path("test/Dog/n.png"));
  bad.push_back(folder_.path("test/Dog/n.png") + ": No such file");
  cut_bmp("test/cat/z.bmp", 2);
  std::string text;
  for (const int threads : {1, 2, 5}) {
    cpu::ThreadPool pool(threads);
    try {
      load_image_folder(folder_.path().string(), ImageFit{5, 5}, &pool);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const FormatError& error) {
      if (text.empty()) text = error.what();
      EXPECT_EQ(error.what(), text);
    }
  }
  std::size_t at = text.find("5 of 12 files cannot be used: ");
  for (const std::string& name : bad) {
    ASSERT_NE(at, std::string::npos) << text;
    at = text.find(name, at + 1);
  }
  ASSERT_NE(at, std::string::npos) << text;
  EXPECT_NE(text.find("; repair or remove", at), std::string::npos) << text;
}

TEST_F(ImageFolder, NamesTwentyBadFilesAndCountsTheRest) {
  for (int i = 10; i < 33; ++i) folder_.write("train/Dog/" + std::to_string(i) + ".ppm", Bytes{1});
  refuses<FormatError>({"23 of 30 files cannot be used", folder_.path("train/Dog/29.ppm") + ": ",
                        "; and 3 more; repair"});
  try {
    load();
  } catch (const FormatError& error) {
    EXPECT_EQ(std::string(error.what()).find("30.ppm"), std::string::npos);
  }
}

TEST_F(ImageFolder, NamesAllOddSizes) {
  const std::string odd = folder_.write("train/cat/a2.ppm", ppm(noise(5, 5)));
  const std::string bad = folder_.write("train/Dog/w.ppm", Bytes{});  // the first one of all
  const std::string last = folder_.write("test/cat/2.ppm", ppm(noise(6, 5)));
  refuses<FormatError>({"3 of 8 files", bad, odd + " has 5x5 pixels, not 6x4",
                        last + " has 5x6 pixels", "repair or remove", "--image-size N"});
}

// Where sizes simply differ nobody has to wait until all files are read.
TEST_F(ImageFolder, StopsWhereSizesDiffer) {
  for (int i = 0; i < 600; ++i) {
    folder_.write("train/cat/n" + std::to_string(i) + ".ppm", ppm(noise(2, 1 + i % 5)));
  }
  for (const int threads : {1, 3}) {
    cpu::ThreadPool pool(threads);
    EXPECT_TRUE(
        throws<FormatError>([&] { load_image_folder(folder_.path().string(), {}, &pool); },
                            {"252 of the first 256 files", "; and 232 more;", "--image-size N"}));
  }
}

TEST_F(ImageFolder, MeanAndStdAreThoseOfTheTrainingImages) {
  const Dataset data = load();
  for (std::size_t c = 0; c < 3; ++c) {
    double sum = 0.0, deviations = 0.0;
    const double count = 4 * 24;
    for (std::size_t i = c; i < data.train.images.size(); i += 3) sum += data.train.images[i];
    for (std::size_t i = c; i < data.train.images.size(); i += 3) {
      deviations += std::pow(data.train.images[i] - sum / count, 2.0);
    }
    EXPECT_FLOAT_EQ(data.mean[c], static_cast<float>(sum / count));
    EXPECT_FLOAT_EQ(data.std[c], static_cast<float>(std::sqrt(deviations / count)));
  }
}

TEST_F(ImageFolder, NamesFilesThatAreNoImages) {
  const auto refuse = [&](const std::string& name, const Bytes& bytes, const std::string& why) {
    const std::string path = folder_.write(name, bytes);
    refuses<FormatError>({path, why, "repair or remove"});
    remove(name);
  };
  refuse("train/cat/c.png", {}, "but an empty file");
  refuse("train/cat/c.jpg", {'t', 'e', 'x', 't', '\n'}, "not a JPEG");
  const Bytes whole = jpeg();
  const auto half = std::span(whole).first(whole.size() - 6);
  refuse("test/Dog/c.jpg", Bytes(half.begin(), half.end()), "cut short");
  refuse("train/Dog/a.jpg", Bytes(half.begin(), half.end()), "cut short");  // the very first one
  load();
}

TEST_F(ImageFolder, NamesFoldersThatAreMissing) {
  EXPECT_TRUE(throws<IoError>([&] { load_image_folder(folder_.path("none")); },
                              {"no folder " + folder_.path("none")}));
  EXPECT_TRUE(throws<IoError>([&] { load_image_folder(folder_.path("train")); },
                              {folder_.path("train"), "no folder train"}));
  remove("test");
  refuses<IoError>({folder_.path().string(), "neither test nor val", folder_.path("test/CLASS")});
  folder_.write("test", Bytes{1});  // a file
  refuses<IoError>({"neither test nor val"});
}

TEST_F(ImageFolder, NamesClassesThatAreMissing) {
  write("test/cow/1.ppm", 1);
  refuses<FormatError>({folder_.path("test/cow"), folder_.path("train"), "lacks"});
  write("test/elk/1.ppm", 1);
  write("train/ant/1.ppm", 1);
  refuses<FormatError>({"lacks the class ant", folder_.path("test/cow") + " is of a class",
                        folder_.path("test/elk") + " is of a class"});
  remove("test/elk");
  remove("train/ant");
  write("train/cow/1.ppm", 1);
  remove("test/cat");
  refuses<FormatError>({folder_.path("test"), "lacks the class cat"});
  fs::create_directory(folder_.path("test/cat"));
  refuses<FormatError>({folder_.path("test/cat"), "no images", "jpg, jpeg, jfif, png"});
  remove("train");
  write("train/stray.ppm", 1);
  refuses<FormatError>({folder_.path("train"), "no class folders", folder_.path("train/CLASS")});
}

TEST_F(ImageFolder, NamesAllClassesWithoutImages) {
  folder_.write("train/cow/notes.txt", Bytes{1});
  folder_.write("train/elk/inner/.hidden.png", Bytes{1});
  write("test/cow/1.ppm", 1);
  fs::create_directory(folder_.path("test/elk"));
  refuses<FormatError>({folder_.path("train/cow") + " has no images",
                        folder_.path("train/elk") + " has no images",
                        folder_.path("test/elk") + " has no images", "but 1 file that is no image",
                        "remove the class"});
}

TEST_F(ImageFolder, NamesLinksThatLeadInCircles) {
  fs::create_directory_symlink("..", folder_.path("train/cat/up"));
  refuses<FormatError>(
      {folder_.path("train/cat/up/cat") + ": cannot list this folder", "leads back", "remove"});
}

TEST_F(ImageFolder, RefusesAClassNameThatIsNoText) {
  write("train/caf\xe9/1.ppm", 1);
  write("test/caf\xe9/1.ppm", 1);
  refuses<FormatError>({"train/caf\xe9", "not UTF-8", "rename"});
}

}  // namespace
}  // namespace msd
