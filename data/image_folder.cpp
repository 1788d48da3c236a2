// SPDX-License-Identifier: MIT
#include "data/image_folder.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <filesystem>
#include <iterator>
#include <mutex>
#include <system_error>
#include <utility>

#include "data/fault_list.h"
#include "data/image_file.h"
#include "data/image_listing.h"
#include "data/image_resize.h"
#include "engine/files/json_text.h"
#include "kernels/check.h"
#include "kernels/cpu/device/thread_pool.h"

namespace msd {
namespace {

namespace fs = std::filesystem;

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
  if (is_utf8(class_folder.filename().string())) return;
  throw FormatError(
      message("folder: the name of ", class_folder.string(), " is not UTF-8; rename the folder"));
}

/// Throws an E with all faults, where there are any.
template <typename E>
void require_none(const FaultList& faults, std::string_view advice) {
  if (faults.count() > 0) throw E(message("folder: ", faults.text(), advice));
}

/// Names of the folders in `part`, in byte order. Counts the rest.
std::vector<std::string> list_classes(const fs::path& part, LeftOut& left_out) {
  std::vector<std::string> classes, lost;
  std::error_code error;
  for (fs::directory_iterator at(part, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (name.starts_with('.')) {
      ++left_out.hidden;
      continue;
    }
    std::error_code reason;
    const fs::file_type type = at->status(reason).type();
    if (at->is_symlink() && (type == fs::file_type::not_found || type == fs::file_type::none)) {
      lost.push_back(
          message(at->path().string(), " is a link that leads nowhere (", reason.message(), ")"));
    } else if (type == fs::file_type::directory) {
      classes.push_back(name);
    } else {
      ++left_out.beside_classes;
    }
  }
  if (error) throw IoError(message("folder: cannot list ", part.string(), ": ", error.message()));
  std::sort(lost.begin(), lost.end());
  FaultList faults;
  for (std::string& fault : lost) faults.add(std::move(fault));
  require_none<IoError>(faults,
                        lost.size() == 1 ? "; repair or remove it" : "; repair or remove them");
  std::sort(classes.begin(), classes.end());
  return classes;
}

void require_same_classes(const std::vector<std::string>& train_classes, const fs::path& train,
                          const std::vector<std::string>& test_classes, const fs::path& test) {
  FaultList faults;
  for (const std::string& name : train_classes) {
    if (std::binary_search(test_classes.begin(), test_classes.end(), name)) continue;
    faults.add(
        message(test.string(), " lacks the class ", name, ", which ", train.string(), " has"));
  }
  for (const std::string& name : test_classes) {
    if (std::binary_search(train_classes.begin(), train_classes.end(), name)) continue;
    faults.add(message((test / name).string(), " is of a class that ", train.string(), " lacks"));
  }
  require_none<FormatError>(faults, "; both need the same classes");
}

/// Image files and the class of each, in order.
struct Listing {
  std::vector<ListedImage> images;
  std::vector<std::int32_t> labels;
};

/// Of one part. A class without images is a fault.
Listing list_part(const fs::path& part, const std::vector<std::string>& classes, FaultList& faults,
                  LeftOut& left_out) {
  Listing listing;
  for (std::size_t label = 0; label < classes.size(); ++label) {
    const std::string folder = (part / classes[label]).string();
    try {
      ImageListing found = list_image_files(folder);
      if (found.images.empty()) {
        const std::string rest = found.left_out.text();
        faults.add(folder + " has no images (" + image_endings_text() + ")" +
                   (rest.empty() ? "" : " but " + rest));
      }
      left_out.add(found.left_out);
      std::move(found.images.begin(), found.images.end(), std::back_inserter(listing.images));
    } catch (const IoError& error) {
      faults.add(error.what());
    }
    listing.labels.resize(listing.images.size(), static_cast<std::int32_t>(label));
  }
  return listing;
}

/// Runs body(index) for each index in [first, last) on the pool and rethrows what the smallest
/// index threw: whatever the threads, the same error. Indices beyond a failed one may be left out.
template <typename Body>
void for_each_index(cpu::ThreadPool* pool, std::int64_t first, std::int64_t last,
                    const Body& body) {
  std::mutex mutex;
  std::exception_ptr error;  // of index `failed`
  std::atomic<std::int64_t> failed{last};
  const auto guarded = [&](std::int64_t offset, int) {
    const std::int64_t index = first + offset;
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
    pool->parallel_for(last - first, guarded);
  } else {
    for (std::int64_t offset = 0; offset < last - first; ++offset) guarded(offset, 0);
  }
  if (error) std::rethrow_exception(error);
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

/// What is wrong with the files of both parts.
struct FileFaults {
  FaultList list;
  std::atomic<std::int64_t> unusable = 0, odd_sizes = 0;
  std::int64_t looked_at = 0;

  /// Nobody wants to wait for all files of a set whose images simply differ in size.
  bool are_enough() const { return odd_sizes > static_cast<std::int64_t>(FaultList::kMostTold); }
  /// `files`: of both parts. Throws FormatError.
  void require_none(std::int64_t files) const {
    if (list.count() == 0) return;
    throw FormatError(
        message("folder: ", list.count(), " of ", looked_at < files ? "the first " : "", looked_at,
                looked_at == 1 ? " file" : " files", " cannot be used: ", list.text(),
                unusable > 0 ? "; repair or remove what cannot be used" : "",
                odd_sizes > 0 ? "; give --image-size N to bring all images to NxN" : ""));
  }
};

/// The images of a part, each brought to h x w or, where there is no `fit`, of that size already
/// (0 x 0: nobody knows it). Faulty ones are left black.
ImageSet read_part(const fs::path& part, const Listing& listing, std::int64_t h, std::int64_t w,
                   const std::optional<ImageFit>& fit, FileFaults& faults, cpu::ThreadPool* pool) {
  constexpr std::int64_t kBlock = 256;  // files between two looks at the faults
  ImageSet set;
  set.h = h;
  set.w = w;
  const auto count = static_cast<std::int64_t>(listing.images.size());
  allocate(set, count);
  const std::int64_t position = faults.looked_at;  // of the part's first file
  const auto read = [&](std::int64_t i) {
    const ListedImage& listed = listing.images[static_cast<std::size_t>(i)];
    const auto unusable = [&](const Error& error) {
      ++faults.unusable;
      faults.list.add(position + i, error.what());
    };
    try {
      listed.require_usable();
      const Image image = fit ? load_fitted(listed.path, *fit) : decode_image_file(listed.path);
      if (image.h == h && image.w == w) {
        std::copy(image.pixels.begin(), image.pixels.end(),
                  set.images.begin() + i * set.image_elems());
      } else if (h > 0) {
        ++faults.odd_sizes;
        faults.list.add(position + i,
                        message(listed.path, " has ", image.w, "x", image.h, " pixels, not ", w,
                                "x", h, " like the first training image"));
      }
    } catch (const IoError& error) {
      unusable(error);
    } catch (const FormatError& error) {
      unusable(error);
    }
  };
  for (std::int64_t first = 0; first < count && !faults.are_enough(); first += kBlock) {
    const std::int64_t last = std::min(count, first + kBlock);
    for_each_index(pool, first, last, read);
    faults.looked_at = position + last;
  }
  const std::size_t prefix = part.string().size() + 1;
  for (const ListedImage& listed : listing.images) set.names.push_back(listed.path.substr(prefix));
  set.labels = listing.labels;
  return set;
}

/// The size of the first image that can be read; 0 x 0 where none can.
Image first_image(const Listing& listing) {
  for (const ListedImage& listed : listing.images) {
    try {
      listed.require_usable();
      return decode_image_file(listed.path);
    } catch (const IoError&) {
    } catch (const FormatError&) {  // told with the others
    }
  }
  return {};
}

}  // namespace

Dataset load_image_folder(const std::string& folder, const std::optional<ImageFit>& fit,
                          cpu::ThreadPool* pool) {
  if (fit) require_possible(*fit);
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
  LeftOut left_out;
  data.class_names = list_classes(train, left_out);
  if (data.class_names.empty()) {
    throw FormatError(message("folder: ", train.string(),
                              " has no class folders; put the images of each class into ",
                              (train / "CLASS").string()));
  }
  for (const std::string& name : data.class_names) require_utf8(train / name);
  require_same_classes(data.class_names, train, list_classes(test, left_out), test);
  FaultList empty;
  const Listing train_files = list_part(train, data.class_names, empty, left_out);
  const Listing test_files = list_part(test, data.class_names, empty, left_out);
  require_none<FormatError>(empty, "; mend this, or remove the class from all parts");

  std::int64_t h = fit ? fit->crop : 0, w = h;
  if (!fit) {
    const Image first = first_image(train_files);
    h = first.h;
    w = first.w;
  }
  FileFaults faults;
  data.train = read_part(train, train_files, h, w, fit, faults, pool);
  data.test = read_part(test, test_files, h, w, fit, faults, pool);
  faults.require_none(
      static_cast<std::int64_t>(train_files.images.size() + test_files.images.size()));
  set_channel_statistics(data);
  data.fingerprint = fingerprint(data.train, data.test);
  const std::string rest = left_out.text();
  if (!rest.empty()) data.remarks.push_back("left out of " + folder + ": " + rest);
  return data;
}

}  // namespace msd
