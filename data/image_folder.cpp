// SPDX-License-Identifier: MIT
#include "data/image_folder.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <filesystem>
#include <iterator>
#include <mutex>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "data/image_file.h"
#include "data/image_listing.h"
#include "kernels/check.h"
#include "kernels/cpu/device/thread_pool.h"

namespace msd {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostImageSize = 10'000;  // resize_to()'s 100 megapixels

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

/// The folder whose images the network is judged by.
fs::path find_test_folder(const fs::path& root) {
  const fs::path test = root / "test", val = root / "val";
  if (is_folder(test) && is_folder(val)) {
    throw FormatError(
        message("folder: ", root.string(),
                " has both test and val, and only one can judge the network; "
                "rename the other one, or make a folder of links to train and the one you want"));
  }
  if (is_folder(test)) return test;
  if (is_folder(val)) return val;
  throw IoError(message("folder: ", root.string(),
                        " has neither test nor val; put the images to judge by into ",
                        (test / "CLASS").string()));
}

/// Checkpoints store class names as JSON, which is UTF-8: better refused now than after an epoch.
void require_utf8(const fs::path& class_folder) {
  try {
    static_cast<void>(nlohmann::json(class_folder.filename().string()).dump());
  } catch (const nlohmann::json::exception&) {
    throw FormatError(
        message("folder: the name of ", class_folder.string(), " is not UTF-8; rename the folder"));
  }
}

/// Names of the folders in `part`, in byte order.
std::vector<std::string> list_classes(const fs::path& part) {
  std::vector<std::string> classes;
  std::error_code error;
  for (fs::directory_iterator at(part, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (name.starts_with('.')) continue;
    std::error_code reason;
    const fs::file_type type = at->status(reason).type();
    if (at->is_symlink() && (type == fs::file_type::not_found || type == fs::file_type::none)) {
      throw IoError(message("folder: ", at->path().string(), " is a link that leads nowhere (",
                            reason.message(), "); repair or remove it"));
    }
    if (type == fs::file_type::directory) classes.push_back(name);
  }
  if (error) throw IoError(message("folder: cannot list ", part.string(), ": ", error.message()));
  std::sort(classes.begin(), classes.end());
  return classes;
}

void require_same_classes(const std::vector<std::string>& train_classes, const fs::path& train,
                          const fs::path& test) {
  const std::vector<std::string> test_classes = list_classes(test);
  for (const std::string& name : train_classes) {
    if (std::binary_search(test_classes.begin(), test_classes.end(), name)) continue;
    throw FormatError(message("folder: ", test.string(), " lacks the class ", name, ", which ",
                              train.string(), " has; both need the same classes"));
  }
  for (const std::string& name : test_classes) {
    if (std::binary_search(train_classes.begin(), train_classes.end(), name)) continue;
    throw FormatError(message("folder: ", (test / name).string(), " is of a class that ",
                              train.string(), " lacks; both need the same classes"));
  }
}

/// Image files and the class of each, in order.
struct Listing {
  std::vector<std::string> paths;
  std::vector<std::int32_t> labels;
};

Listing list_part(const fs::path& part, const std::vector<std::string>& classes) {
  Listing listing;
  for (std::size_t label = 0; label < classes.size(); ++label) {
    const std::string folder = (part / classes[label]).string();
    std::vector<std::string> found = list_image_files(folder);
    if (found.empty()) {
      throw FormatError(message("folder: ", folder, " has no images (", kImageEndings,
                                "; folders inside it are not searched); add some, or remove the "
                                "class from all parts"));
    }
    std::move(found.begin(), found.end(), std::back_inserter(listing.paths));
    listing.labels.resize(listing.paths.size(), static_cast<std::int32_t>(label));
  }
  return listing;
}

/// Runs body(index) for each index in [0, count) on the pool and rethrows what the smallest index
/// threw: whatever the threads, the same error. Indices beyond a failed one may be left out.
template <typename Body>
void for_each_index(cpu::ThreadPool* pool, std::int64_t count, const Body& body) {
  std::mutex mutex;
  std::exception_ptr error;  // of index `failed`
  std::atomic<std::int64_t> failed{count};
  const auto guarded = [&](std::int64_t index, int) {
    if (index > failed.load(std::memory_order_relaxed)) return;
    try {
      body(index);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (index < failed.load(std::memory_order_relaxed)) {
        failed.store(index, std::memory_order_relaxed);
        error = std::current_exception();
      }
    }
  };
  if (pool != nullptr) {
    pool->parallel_for(count, guarded);
  } else {
    for (std::int64_t index = 0; index < count; ++index) guarded(index, 0);
  }
  if (error) std::rethrow_exception(error);
}

Image decode(const std::string& path) {
  constexpr const char* kAdvice = "; repair or remove the file";
  try {
    return decode_image_file(path);
  } catch (const IoError& error) {
    throw IoError(message("folder: ", error.what(), kAdvice));
  } catch (const FormatError& error) {
    throw FormatError(message("folder: ", error.what(), kAdvice));
  }
}

Image fit(const std::string& path, const Image& image, std::int64_t h, std::int64_t w) {
  try {
    return fit_to(image, h, w);
  } catch (const ShapeError&) {  // its shorter side enlarged, the image outgrows resize_to()
    throw FormatError(message("folder: ", path, " has ", image.w, "x", image.h,
                              " pixels, too thin to be brought to ", w, "x", h,
                              "; crop or remove the file"));
  }
}

void allocate(ImageSet& set, std::int64_t count) {
  set.c = 3;
  const std::int64_t bytes = count * set.image_elems();
  try {
    set.images.resize(static_cast<std::size_t>(bytes));
  } catch (const std::exception&) {  // bad_alloc or length_error
    throw OutOfMemory(message("folder: ", count, " images of ", set.w, "x", set.h, " need ", bytes,
                              " bytes, which the host does not have; give a smaller --image-size"));
  }
}

/// The images of `part`, each brought to h x w or, where `resize` is false, of that size already.
ImageSet read_part(const fs::path& part, const std::vector<std::string>& classes, std::int64_t h,
                   std::int64_t w, bool resize, cpu::ThreadPool* pool) {
  Listing listing = list_part(part, classes);
  ImageSet set;
  set.h = h;
  set.w = w;
  const auto count = static_cast<std::int64_t>(listing.paths.size());
  allocate(set, count);
  for_each_index(pool, count, [&](std::int64_t i) {
    const std::string& path = listing.paths[static_cast<std::size_t>(i)];
    Image image = decode(path);
    if (resize) image = fit(path, image, h, w);
    if (image.h != h || image.w != w) {
      throw FormatError(message(
          "folder: ", path, " has ", image.w, "x", image.h, " pixels, not ", w, "x", h,
          " like the first training image; give --image-size N to bring all images to NxN"));
    }
    std::copy(image.pixels.begin(), image.pixels.end(), set.images.begin() + i * set.image_elems());
  });
  for (std::size_t i = 0; i < listing.paths.size(); ++i) {
    const std::string& folder = classes[static_cast<std::size_t>(listing.labels[i])];
    set.names.push_back(folder + "/" + fs::path(listing.paths[i]).filename().string());
  }
  set.labels = std::move(listing.labels);
  return set;
}

}  // namespace

Dataset load_image_folder(const std::string& folder, std::int64_t image_size,
                          cpu::ThreadPool* pool) {
  if (image_size < 0 || image_size > kMostImageSize) {
    throw ConfigError(
        message("folder: --image-size is ", image_size, "; use 1 to ", kMostImageSize));
  }
  const fs::path root(folder), train = root / "train";
  if (!is_folder(root)) throw IoError(message("folder: no folder ", folder));
  if (!is_folder(train)) {
    throw IoError(message("folder: ", folder,
                          " has no folder train; put the images to learn from into ",
                          (train / "CLASS").string()));
  }
  const fs::path test = find_test_folder(root);
  Dataset data;
  data.name = "folder";
  data.class_names = list_classes(train);
  if (data.class_names.empty()) {
    throw FormatError(message("folder: ", train.string(),
                              " has no class folders; put the images of each class into ",
                              (train / "CLASS").string()));
  }
  for (const std::string& name : data.class_names) require_utf8(train / name);
  require_same_classes(data.class_names, train, test);

  std::int64_t h = image_size, w = image_size;
  if (image_size == 0) {
    const Image first = decode(list_part(train, {data.class_names.front()}).paths.front());
    h = first.h;
    w = first.w;
  }
  data.train = read_part(train, data.class_names, h, w, image_size != 0, pool);
  data.test = read_part(test, data.class_names, h, w, image_size != 0, pool);
  set_channel_statistics(data);
  data.fingerprint = fingerprint(data.train, data.test);
  return data;
}

}  // namespace msd
