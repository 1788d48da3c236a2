// SPDX-License-Identifier: MIT
#include "tests/models/fixtures.h"

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "engine/files/file.h"
#include "engine/files/safetensors.h"

namespace msd::test {
namespace {

/// Where the tests were built, unless they were carried elsewhere.
std::filesystem::path source_dir() {
  const char* carried = std::getenv("MSD_SOURCE_DIR");
  return carried != nullptr ? carried : MSD_SOURCE_DIR;
}

nlohmann::json read_index() {
  return nlohmann::json::parse(read_text_file(source_dir() / "tests/fixtures/index.json"));
}

/// The recipe of a tensor T#uniform: [seed, exponent, dims...].
Tensor draw_uniform(const std::vector<std::int64_t>& recipe) {
  const std::vector<std::int64_t> shape(recipe.begin() + 2, recipe.end());
  std::int64_t count = 1;
  for (const std::int64_t d : shape) count *= d;
  const double scale = std::ldexp(1.0, static_cast<int>(recipe[1]) - 23);
  auto state = static_cast<std::uint64_t>(recipe[0]);
  std::vector<double> values;
  for (std::int64_t i = 0; i < count; ++i) {
    state += 0x9E3779B97F4A7C15;  // splitmix64
    std::uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    z ^= z >> 31;
    values.push_back(static_cast<double>(static_cast<std::int64_t>(z >> 40) - (1 << 23)) * scale);
  }
  return make_tensor(shape, values);
}

}  // namespace

std::vector<std::string> fixture_names() {
  std::vector<std::string> names;
  for (const nlohmann::json& entry : read_index()) names.push_back(entry.at("name"));
  return names;
}

Fixture::Fixture(const std::string& name) {
  for (nlohmann::json entry : read_index()) {
    if (entry.at("name") != name) continue;
    entry.erase("name");
    config_ = entry.get<MsdnetConfig>();
  }
  const std::string recipe_suffix = "#uniform", state_prefix = "state/";
  const auto file = source_dir() / "tests/fixtures" / (name + ".safetensors");
  for (const auto& [key, tensor] : read_safetensors(file).tensors) {
    if (key.ends_with(recipe_suffix)) {
      const auto recipe = tensor.span<std::int64_t>();
      file_[key.substr(0, key.size() - recipe_suffix.size())] =
          draw_uniform({recipe.begin(), recipe.end()});
    } else {
      file_[key] = tensor;
    }
  }
  for (const auto& [key, tensor] : file_) {
    if (key.starts_with(state_prefix)) state_[key.substr(state_prefix.size())] = tensor;
  }
}

std::vector<double> Fixture::values(const std::string& name) const {
  return doubles(file_.at(name));
}

std::vector<std::int32_t> Fixture::labels() const {
  std::vector<std::int32_t> labels;
  for (const double label : values("train/labels")) {
    labels.push_back(static_cast<std::int32_t>(label));
  }
  return labels;
}

std::map<std::string, Fixture::Sampled> Fixture::sampled(const std::string& prefix) const {
  std::map<std::string, Sampled> out;
  for (const auto& [key, tensor] : file_) {
    if (!key.starts_with(prefix)) continue;
    const std::size_t hash = key.find('#');
    const std::int64_t stride = hash == std::string::npos ? 1 : std::stoll(key.substr(hash + 1));
    out[key.substr(0, hash).substr(prefix.size())] = {doubles(tensor), stride};
  }
  return out;
}

std::filesystem::path reference_file(const std::string& name) {
  const char* folder = std::getenv("MSD_REFERENCE_DIR");
  const std::filesystem::path fallback = source_dir().parent_path() / "shared/reference";
  return (folder != nullptr ? std::filesystem::path(folder) : fallback) / name;
}

MsdnetConfig reference_config(char network) {
  MsdnetConfig c;
  switch (network) {
    case 'H':
      c.blocks = 3, c.step = 1, c.base = 2, c.init_channels = 8, c.growth_rate = 4;
      return c;
    case 'D':
      c.blocks = 5, c.step_mode = StepMode::lin_grow, c.step = 1, c.base = 1;
      c.init_channels = 16, c.growth_rate = 6, c.classes = 100;
      return c;
    case 'I':
      c.blocks = 3, c.step = 1, c.base = 2, c.init_channels = 8, c.growth_rate = 4;
      c.growth_factors = c.bottleneck_factors = {1, 2, 4, 4};
      c.classes = 1000, c.input_kind = InputKind::imagenet, c.image_size = 224;
      return c;
    default:
      throw std::invalid_argument("no reference network of that letter");
  }
}

void put_images(const View& view, const std::vector<double>& nchw) {
  if (static_cast<std::int64_t>(nchw.size()) != view.elems()) {
    throw std::invalid_argument("put_images: values do not fill the view");
  }
  const std::int64_t positions = view.h * view.w;
  for (std::int64_t row = 0; row < view.rows(); ++row) {
    for (std::int64_t c = 0; c < view.c; ++c) {
      const std::int64_t image = row / positions, position = row % positions;
      const double value =
          nchw[static_cast<std::size_t>((image * view.c + c) * positions + position)];
      if (view.dtype == DType::f64) {
        view.as<double>()[row * view.pitch + c] = value;
      } else {
        view.as<float>()[row * view.pitch + c] = static_cast<float>(value);
      }
    }
  }
}

}  // namespace msd::test
