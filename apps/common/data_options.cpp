// SPDX-License-Identifier: MIT
#include "apps/common/data_options.h"

#include <iostream>
#include <nlohmann/json.hpp>
#include <vector>

#include "engine/files/json_text.h"
#include "kernels/check.h"
#include "models/network/config_fields.h"
#include "models/network/preprocessing.h"

namespace msd {
namespace {

std::string name_and_remark(const DatasetRow& row) {
  const std::string name(row.name);
  return row.remark.empty() ? name : name + " (" + std::string(row.remark) + ")";
}

std::string of_files(const DatasetRow& row) {
  return row.needs_folder() ? "of " + std::string(row.files) : "";
}

std::string name_if_in_folder(const DatasetRow& row) {
  return row.needs_folder() ? std::string(row.name) : "";
}

}  // namespace

void DataOptions::add_to(CommandLine& line, bool for_training) {
  line_ = &line;
  const std::string group = "Data";
  std::vector<std::string> names;
  for (const DatasetRow& row : datasets()) names.emplace_back(row.name);
  dataset_option_ = line.option("--dataset", dataset_.name, list_datasets(name_and_remark, ", or "))
                        .one_of(names)
                        .show_default()
                        .group(group);
  data_option_ =
      line.option("--data", dataset_.folder, "Folder " + list_datasets(of_files, ", or "))
          .group(group);
  line.option("--split", split_,
              "Take the training and hold-out images from this split.json, or from index.pth of "
              "the PyTorch implementation")
      .group(group);
  if (!for_training) return;
  line.option("--holdout", holdout_,
              "Training images held out for thresholds and the best checkpoint; -1: a tenth; of "
              "an index.pth its last ones")
      .at_least(-1)
      .show_default()
      .group(group);
  line.option("--holdout-mode", holdout_mode_, "Which: random ones or the last")
      .one_of({"random", "last"})
      .show_default()
      .group(group);
  line.option("--holdout-seed", holdout_seed_, "Seed of the random hold-out")
      .show_default()
      .group(group);
  for (const DatasetRow& row : datasets()) {
    for (const DatasetNumber& number : row.numbers) {
      line.option(option_name(number.name), dataset_.numbers.at(std::string(number.name)),
                  std::string(number.description))
          .show_default()
          .group(group);
    }
  }
}

void DataOptions::check_usage(bool dataset_follows) const {
  if (!split_.empty()) {
    line_->refuse_without_effect({"--holdout-mode", "--holdout-seed"}, "--split");
    if (split_.ends_with(".json")) line_->refuse_without_effect({"--holdout"}, "--split");
  } else if (holdout_ == 0) {
    line_->refuse_without_effect({"--holdout-mode", "--holdout-seed"}, "--holdout 0");
  } else if (holdout_mode_ == "last") {
    line_->refuse_without_effect({"--holdout-seed"}, "--holdout-mode last");
  }
  if (dataset_follows && !dataset_given() && !dataset_stored_) return;
  const std::string chosen = "--dataset " + dataset_.name;
  if (!row().needs_folder()) line_->refuse_without_effect({"--data"}, chosen);
  for (const DatasetRow& other : datasets()) {
    if (other.name == dataset_.name) continue;
    for (const DatasetNumber& number : other.numbers) {
      line_->refuse_without_effect({option_name(number.name)}, chosen);
    }
  }
}

std::optional<std::int64_t> DataOptions::classes_of_name() const {
  if (!dataset_given() || row().classes_vary()) return std::nullopt;
  return row().classes;
}

Dataset DataOptions::load(Runtime& runtime) const {
  const DatasetRow& known = row();
  if (!known.needs_folder() && !dataset_.folder.empty()) {
    throw ConfigError("--data " + dataset_.folder + " is for " +
                      list_datasets(name_if_in_folder, " and ") + "; --dataset is " +
                      dataset_.name);
  }
  if (known.needs_folder() && dataset_.folder.empty()) {
    throw ConfigError(
        message("--dataset ", known.name, " needs --data DIR, the folder ", known.folder));
  }
  DatasetOptions options = dataset_;
  options.pool = runtime.context().pool;
  Dataset data = known.load(options);
  for (const std::string& remark : data.remarks) {
    std::cerr << line_->program() << ": " << one_line(remark) << '\n';
  }
  return data;
}

Split DataOptions::split(const Dataset& data) const {
  if (!split_.empty()) return load_split(split_, data, holdout_);
  const std::int64_t holdout = holdout_ == -1 ? data.train.size() / 10 : holdout_;
  return make_split(data, holdout,
                    holdout_mode_ == "last" ? HoldoutMode::last : HoldoutMode::random,
                    static_cast<std::uint64_t>(holdout_seed_));
}

nlohmann::json DataOptions::identity() const {
  nlohmann::json json = {{"dataset", dataset_.name}, {"split", split_}};
  if (split_.empty() || holdout_ != -1) json["holdout"] = holdout_;
  if (split_.empty()) {
    json["holdout_mode"] = holdout_mode_;
    json["holdout_seed"] = holdout_seed_;
  }
  if (row().resizes) {
    json["fit"] =
        dataset_.fit ? nlohmann::json(*dataset_.fit) : nlohmann::json();  // null: as they are
  }
  for (const DatasetNumber& number : row().numbers) {
    const std::string name(number.name);
    json[name] = dataset_.numbers.at(name);
  }
  return json;
}

nlohmann::json DataOptions::to_json() const {
  nlohmann::json json = identity();
  json["data"] = dataset_.folder;
  return json;
}

void DataOptions::set_defaults(const nlohmann::json& stored) {
  if (!stored.is_object()) return;
  const auto take_number = [&](const char* key, std::int64_t& value) {
    if (stored.contains(key)) read_member(stored, key, value);
  };
  if (dataset_given() && stored.value("dataset", dataset_.name) != dataset_.name) return;
  dataset_.name = stored.value("dataset", dataset_.name);
  dataset_stored_ = true;
  if (!data_option_.given()) dataset_.folder = stored.value("data", dataset_.folder);
  if (split_.empty()) {
    split_ = stored.value("split", split_);
    take_number("holdout", holdout_);
    holdout_mode_ = stored.value("holdout_mode", holdout_mode_);
    take_number("holdout_seed", holdout_seed_);
  }
  for (auto& [name, value] : dataset_.numbers) take_number(name.c_str(), value);
}

bool DataOptions::dataset_given() const { return dataset_option_.given(); }

const DatasetRow& DataOptions::row() const {
  if (const DatasetRow* known = find_dataset(dataset_.name)) return *known;
  throw ConfigError(
      "no data set is called " + dataset_.name + "; --dataset takes " +
      list_datasets([](const DatasetRow& row) { return std::string(row.name); }, " and "));
}

}  // namespace msd
