// SPDX-License-Identifier: MIT
#include "apps/common/data_options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <string_view>

#include "data/cifar.h"
#include "data/image_folder.h"
#include "data/synthetic.h"
#include "kernels/error.h"

namespace msd {
namespace {

const std::vector<std::string> kDatasets = {"synthetic", "cifar10", "cifar100", "folder"};

}  // namespace

bool is_dataset(const std::string& name) {
  return std::find(kDatasets.begin(), kDatasets.end(), name) != kDatasets.end();
}

void DataOptions::add_to(CommandLine& line, bool for_training) {
  line_ = &line;
  const std::string group = "Data";
  dataset_option_ = line.option("--dataset", dataset_,
                                "synthetic (built in), cifar10, cifar100, or folder (image files)")
                        .one_of(kDatasets)
                        .show_default()
                        .group(group);
  data_option_ =
      line.option("--data", data_,
                  "Folder of the binary CIFAR files, or of image files as train/CLASS/*.jpg and "
                  "test/CLASS/*.jpg")
          .group(group);
  line.option("--split", split_,
              "Take the training and hold-out images from this split.json, or from index.pth of "
              "the PyTorch implementation")
      .group(group);
  if (!for_training) return;
  line.option("--holdout", holdout_,
              "Training images held out for thresholds and the best checkpoint; -1: a tenth; of "
              "an index.pth its last ones")
      .show_default()
      .group(group);
  line.option("--holdout-mode", holdout_mode_, "Which: random ones or the last")
      .one_of({"random", "last"})
      .show_default()
      .group(group);
  line.option("--holdout-seed", holdout_seed_, "Seed of the random hold-out")
      .show_default()
      .group(group);
  line.option("--synthetic-train", synthetic_train_, "Training images of the synthetic set")
      .show_default()
      .group(group);
  line.option("--synthetic-test", synthetic_test_, "Test images of the synthetic set")
      .show_default()
      .group(group);
  line.option("--synthetic-seed", synthetic_seed_, "Seed of the synthetic set")
      .show_default()
      .group(group);
}

void DataOptions::fit_images_to(std::optional<std::int64_t> image_size) {
  image_size_ = image_size.value_or(image_size_);
}

void DataOptions::check_usage() const {
  if (!split_.empty()) {
    line_->refuse_without_effect({"--holdout-mode", "--holdout-seed"}, "--split");
    if (split_.ends_with(".json")) line_->refuse_without_effect({"--holdout"}, "--split");
  } else if (holdout_ == 0) {
    line_->refuse_without_effect({"--holdout-mode", "--holdout-seed"}, "--holdout 0");
  } else if (holdout_mode_ == "last") {
    line_->refuse_without_effect({"--holdout-seed"}, "--holdout-mode last");
  }
  if (dataset_ == "synthetic") {
    line_->refuse_without_effect({"--data"}, "--dataset synthetic");
  } else {
    line_->refuse_without_effect({"--synthetic-train", "--synthetic-test", "--synthetic-seed"},
                                 "--dataset " + dataset_);
  }
}

std::optional<std::int64_t> DataOptions::classes_of_name() const {
  if (!dataset_given()) return std::nullopt;
  if (dataset_ == "cifar100") return 100;
  if (dataset_ == "cifar10" || dataset_ == "synthetic") return 10;
  return std::nullopt;
}

Dataset DataOptions::load(Runtime& runtime) const {
  if (dataset_ == "synthetic") {
    if (!data_.empty()) {
      throw ConfigError("--data " + data_ +
                        " is for cifar10, cifar100 and folder; --dataset is synthetic");
    }
    SyntheticOptions options;
    options.train = synthetic_train_;
    options.test = synthetic_test_;
    options.seed = static_cast<std::uint64_t>(synthetic_seed_);
    return make_synthetic(options, runtime.context().pool);
  }
  if (data_.empty()) {
    throw ConfigError(
        "--dataset " + dataset_ + " needs --data DIR, the folder " +
        (dataset_ == "folder" ? "that holds train/CLASS and test/CLASS" : "of its binary files"));
  }
  if (dataset_ == "folder") return load_image_folder(data_, image_size_, runtime.context().pool);
  return load_cifar(dataset_ == "cifar10" ? Cifar::cifar10 : Cifar::cifar100, data_);
}

Split DataOptions::split(const Dataset& data) const {
  if (!split_.empty()) return load_split(split_, data, holdout_);
  const std::int64_t holdout = holdout_ == -1 ? data.train.size() / 10 : holdout_;
  return make_split(data, holdout,
                    holdout_mode_ == "last" ? HoldoutMode::last : HoldoutMode::random,
                    static_cast<std::uint64_t>(holdout_seed_));
}

nlohmann::json DataOptions::identity() const {
  nlohmann::json json = {{"dataset", dataset_}, {"split", split_}};
  if (split_.empty() || holdout_ != -1) json["holdout"] = holdout_;
  if (split_.empty()) {
    json["holdout_mode"] = holdout_mode_;
    json["holdout_seed"] = holdout_seed_;
  }
  if (dataset_ == "folder") json["image_size"] = image_size_;
  if (dataset_ == "synthetic") {
    json["synthetic_train"] = synthetic_train_;
    json["synthetic_test"] = synthetic_test_;
    json["synthetic_seed"] = synthetic_seed_;
  }
  return json;
}

nlohmann::json DataOptions::to_json() const {
  nlohmann::json json = identity();
  json["data"] = data_;
  return json;
}

void DataOptions::set_defaults(const nlohmann::json& stored) {
  if (!stored.is_object()) return;
  if (dataset_given() && stored.value("dataset", dataset_) != dataset_) return;
  dataset_ = stored.value("dataset", dataset_);
  if (!data_option_.given()) data_ = stored.value("data", data_);
  if (split_.empty()) {
    split_ = stored.value("split", split_);
    holdout_ = stored.value("holdout", holdout_);
    holdout_mode_ = stored.value("holdout_mode", holdout_mode_);
    holdout_seed_ = stored.value("holdout_seed", holdout_seed_);
  }
  image_size_ = stored.value("image_size", image_size_);
  synthetic_train_ = stored.value("synthetic_train", synthetic_train_);
  synthetic_test_ = stored.value("synthetic_test", synthetic_test_);
  synthetic_seed_ = stored.value("synthetic_seed", synthetic_seed_);
}

double parse_quantity(const std::string& text, const std::string& option) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [next, error] = std::from_chars(text.data(), end, value);
  const std::map<std::string_view, double> units = {{"", 1},    {"k", 1e3},  {"K", 1e3}, {"M", 1e6},
                                                    {"G", 1e9}, {"T", 1e12}, {"P", 1e15}};
  const auto known = units.find(std::string_view(next, static_cast<std::size_t>(end - next)));
  const double unit = known == units.end() ? 0 : known->second;
  if (error != std::errc() || unit == 0 || !std::isfinite(value) || value <= 0) {
    throw ConfigError(
        message(option, " is ", text, "; give a positive number, with k, M, G, T or P"));
  }
  return value * unit;
}

bool DataOptions::dataset_given() const { return dataset_option_.given(); }

}  // namespace msd
