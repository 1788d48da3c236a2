// SPDX-License-Identifier: MIT
#include "models/weights/checkpoint.h"

#include <gtest/gtest.h>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/files/file.h"
#include "engine/files/hash.h"
#include "engine/random.h"
#include "tests/models/networks.h"
#include "tests/support/errors.h"
#include "tests/support/temp_folder.h"

namespace msd {
namespace {

using nlohmann::json;
using test::Tensors;
using test::throws;

class CheckpointTest : public testing::Test {
 protected:
  CheckpointTest() {
    // A step, so that there are velocities.
    test::randomize(network_, 3);
    test::train(runtime_, network_, test::random_batch(config_, 2, 4), 1, 0.01);
  }

  Tensors velocities(const Network& network) {
    return test::by_name(network.parameters().velocities_by_name(""));
  }

  const test::TempFolder folder_;
  const std::filesystem::path path_ = folder_ / "net.msd";
  const MsdnetConfig config_ = test::Fixture("unused_branches").config();
  Runtime runtime_;
  Network network_{config_, runtime_.allocator()};
  const DataDescription data_ = {
      "cifar10",
      {"plane", "caf\xC3\xA9 \"x\""},
      {{config_.image_size + 5, config_.image_size, Interpolation::bicubic},
       {125.3f, 123.0f, 113.9f},
       {63.0f, 0.1f, 66.7f}}};
  const json training_ = {{"epoch", 7}, {"history", {{0.1, 2}, {0.3, 4}}}, {"note", "a\nb"}};
};

TEST_F(CheckpointTest, RoundTripsWeightsVelocitiesAndMetadata) {
  write_checkpoint(path_, network_, data_, training_);
  const Checkpoint checkpoint = read_checkpoint(path_);
  EXPECT_EQ(checkpoint.path, path_);
  ASSERT_TRUE(checkpoint.config.has_value() && checkpoint.data.has_value());
  EXPECT_EQ(*checkpoint.config, config_);
  EXPECT_EQ(checkpoint.data->dataset, data_.dataset);
  EXPECT_EQ(checkpoint.data->class_names, data_.class_names);
  EXPECT_EQ(checkpoint.data->preprocessing, data_.preprocessing);  // the same bits
  EXPECT_EQ(*checkpoint.training, training_);

  Network other(*checkpoint.config, runtime_.allocator());
  checkpoint.load_weights(other);
  checkpoint.load_velocities(other);
  EXPECT_TRUE(test::identical(test::state_of(other), test::state_of(network_)));
  // `other` does not know yet which parameters have no gradient; theirs are zero.
  const Tensors expected = velocities(network_), actual = velocities(other);
  EXPECT_LT(expected.size(), actual.size());
  for (const auto& [name, tensor] : actual) {
    if (expected.contains(name)) {
      EXPECT_EQ(test::bytes(tensor), test::bytes(expected.at(name))) << name;
    } else {
      EXPECT_EQ(test::doubles(tensor), std::vector<double>(test::doubles(tensor).size(), 0.0));
    }
  }
}

TEST_F(CheckpointTest, ResumingEqualsGoingOn) {
  const test::Batch batch = test::random_batch(config_, 3, 5);
  write_checkpoint(path_, network_, data_, nullptr);
  Network resumed(config_, runtime_.allocator());
  const Checkpoint checkpoint = read_checkpoint(path_);
  checkpoint.load_weights(resumed);
  checkpoint.load_velocities(resumed);
  for (Network* network : {&network_, &resumed}) test::train(runtime_, *network, batch, 2, 0.05);
  EXPECT_TRUE(test::identical(test::state_of(resumed), test::state_of(network_)));
  EXPECT_TRUE(test::identical(velocities(resumed), velocities(network_)));
}

TEST_F(CheckpointTest, NamesAreThoseOfPytorchAndOurPrefix) {
  write_checkpoint(path_, network_, data_, nullptr);
  const Tensors file = read_safetensors(path_).tensors;
  Tensors weights;
  std::size_t found = 0;
  for (const auto& [name, tensor] : file) {
    if (name.starts_with("velocity/")) {
      ++found;
    } else {
      weights[name] = tensor;
    }
  }
  EXPECT_TRUE(test::identical(weights, test::state_of(network_)));
  EXPECT_EQ(found, velocities(network_).size());
  EXPECT_LT(found, network_.parameters().parameter_count());  // a branch has no gradient
}

TEST_F(CheckpointTest, ReadsABareStateDictionary) {
  write_safetensors(path_, network_.parameters().state(), {{"format", "pt"}});
  const Checkpoint checkpoint = read_checkpoint(path_);
  EXPECT_FALSE(checkpoint.config.has_value());
  EXPECT_FALSE(checkpoint.data.has_value());
  EXPECT_TRUE(checkpoint.training->is_null());
  Network other(config_, runtime_.allocator());
  test::randomize(other, 77);
  test::train(runtime_, other, test::random_batch(config_, 2, 4), 1, 0.01);
  checkpoint.load_weights(other);
  checkpoint.load_velocities(other);  // there are none: zero
  EXPECT_TRUE(test::identical(test::state_of(other), test::state_of(network_)));
  for (const auto& [name, tensor] : velocities(other)) {
    for (const double value : test::doubles(tensor)) ASSERT_EQ(value, 0.0) << name;
  }
}

TEST_F(CheckpointTest, AnotherNetworksWeightsAreRefusedAndNothingChanges) {
  write_checkpoint(path_, network_, data_, nullptr);
  const Checkpoint checkpoint = read_checkpoint(path_);
  MsdnetConfig wider = config_, deeper = config_;
  wider.growth_rate += 2;
  deeper.blocks += 1;
  for (const MsdnetConfig& config : {wider, deeper}) {
    Network other(config, runtime_.allocator());
    test::randomize(other, 5);
    const Tensors before = test::state_of(other);
    EXPECT_TRUE(throws<FormatError>([&] { checkpoint.load_weights(other); },
                                    {path_.filename().string(), "tensor"}));
    EXPECT_TRUE(test::identical(test::state_of(other), before));
  }
}

TEST_F(CheckpointTest, FingerprintsNameTheWeights) {
  write_checkpoint(path_, network_, data_, training_);
  const std::string first = read_checkpoint(path_).fingerprint;
  ASSERT_EQ(first.size(), kHashTextSize);
  EXPECT_TRUE(first.starts_with(kHashPrefix));

  // Neither metadata nor velocities belong to it.
  write_checkpoint(folder_ / "b", network_, {}, nullptr);
  EXPECT_EQ(read_checkpoint(folder_ / "b").fingerprint, first);
  write_safetensors(folder_ / "c", network_.parameters().state());
  EXPECT_EQ(read_checkpoint(folder_ / "c").fingerprint, first);

  std::vector<NamedTensor> state = network_.parameters().state();
  for (NamedTensor& named : state) {
    if (!named.name.ends_with("running_mean")) continue;
    named.tensor.span<float>()[0] = std::nextafter(named.tensor.span<float>()[0], 1e30f);
    break;
  }
  write_safetensors(folder_ / "d", state);
  EXPECT_NE(read_checkpoint(folder_ / "d").fingerprint, first);
}

TEST_F(CheckpointTest, DamagedMetadataIsAFormatError) {
  const json good = {
      {"format", "msd-checkpoint-1"},
      {"config", config_},
      {"data",
       {{"dataset", "d"}, {"class_names", json::array()}, {"mean", {1, 2, 3}}, {"std", {1, 2, 3}}}},
      {"training", nullptr}};
  const auto reads = [&](const std::string& metadata) {
    write_safetensors(path_, network_.parameters().state(), {{"msd", metadata}});
    return [this] { read_checkpoint(path_); };
  };
  reads(good.dump())();  // as written by hand, it can be read
  EXPECT_TRUE(throws<FormatError>(reads("{"), {"net.msd"}));
  EXPECT_TRUE(throws<FormatError>(reads("[]"), {"net.msd"}));
  EXPECT_TRUE(throws<FormatError>(reads(""), {"net.msd"}));
  for (const char* key : {"format", "config", "data", "training"}) {
    json bad = good;
    bad.erase(key);
    EXPECT_TRUE(throws<FormatError>(reads(bad.dump()), {"net.msd"})) << key;
  }
  struct Change {
    const char* pointer;
    json value;
  };
  const std::vector<Change> changes = {{"/format", "msd-checkpoint-2"},
                                       {"/format", 1},
                                       {"/config/blocks", 0},
                                       {"/config/blocks", "x"},
                                       {"/config/surprise", 1},
                                       {"/data/mean", {1, 2}},
                                       {"/data/mean", "x"},
                                       {"/data/std", nullptr},
                                       {"/data/class_names", {1}},
                                       {"/data/dataset", 5}};
  for (const Change& change : changes) {
    json bad = good;
    bad[json::json_pointer(change.pointer)] = change.value;
    EXPECT_TRUE(throws<FormatError>(reads(bad.dump()), {"net.msd"})) << change.pointer;
  }
}

TEST_F(CheckpointTest, DamagedFilesAreErrors) {
  write_checkpoint(path_, network_, data_, training_);
  const std::string file = read_text_file(path_);
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{7}, std::size_t{100}, file.size() / 2, file.size() - 1}) {
    write_file_atomically(folder_ / "cut", file.substr(0, size));
    EXPECT_TRUE(throws<FormatError>([&] { read_checkpoint(folder_ / "cut"); }, {"cut"})) << size;
  }
  EXPECT_TRUE(throws<IoError>([&] { read_checkpoint(folder_ / "absent"); }, {"absent"}));
}

TEST_F(CheckpointTest, NotANumberIsRefusedWhenLoading) {
  std::vector<NamedTensor> state = network_.parameters().state();
  state[0].tensor.span<float>()[1] = std::nanf("");
  write_safetensors(path_, state);
  Network other(config_, runtime_.allocator());
  EXPECT_TRUE(throws<FormatError>([&] { read_checkpoint(path_).load_weights(other); },
                                  {"net.msd", state[0].name}));
}

TEST_F(CheckpointTest, AVarianceBelowZeroIsRefusedWhenLoading) {
  std::vector<NamedTensor> state = network_.parameters().state();
  const auto variance = std::find_if(state.begin(), state.end(), [](const NamedTensor& entry) {
    return entry.name.ends_with(".running_var");
  });
  ASSERT_NE(variance, state.end());
  variance->tensor.span<float>()[1] = -1e-3f;
  write_safetensors(path_, state);
  Network other(config_, runtime_.allocator());
  EXPECT_TRUE(throws<FormatError>([&] { read_checkpoint(path_).load_weights(other); },
                                  {"net.msd", variance->name, "channel 1"}));
}

TEST_F(CheckpointTest, WritingReplacesTheOldOneWholeOrNotAtAll) {
  write_checkpoint(path_, network_, data_, training_);
  EXPECT_TRUE(throws<IoError>(
      [&] { write_checkpoint(folder_ / "no/net.msd", network_, data_, training_); }, {"net.msd"}));
  test::randomize(network_, 8);
  write_checkpoint(path_, network_, data_, training_);
  Network other(config_, runtime_.allocator());
  read_checkpoint(path_).load_weights(other);
  EXPECT_TRUE(test::identical(test::state_of(other), test::state_of(network_)));
  EXPECT_EQ(folder_.list(), std::vector<std::string>{"net.msd"});
}

// What older programs wrote: they trained on pictures of the input's size, or resized to it.
TEST_F(CheckpointTest, ImagesThatNothingIsSaidOfAreTakenWhole) {
  write_checkpoint(path_, network_, data_, training_);
  const auto with = [&](const auto& change) {
    Safetensors file = read_safetensors(path_);
    json metadata = json::parse(file.metadata.at(kMetadataKey));
    change(metadata.at("data"));
    std::vector<NamedTensor> tensors;
    for (const auto& [name, tensor] : file.tensors) tensors.push_back({name, tensor});
    const std::filesystem::path changed = folder_ / "changed.msd";
    write_safetensors(changed, tensors, {{kMetadataKey, metadata.dump()}});
    return read_checkpoint(changed);
  };
  const Checkpoint old = with([](json& data) {
    for (const char* key : {"resize", "crop", "interpolation"}) data.erase(key);
  });
  Preprocessing whole = data_.preprocessing;
  whole.fit = {config_.image_size, config_.image_size, Interpolation::bilinear};
  EXPECT_EQ(old.data->preprocessing, whole);
  const auto refused = [&](const char* key, const json& value) {
    EXPECT_TRUE(
        throws<FormatError>([&] { with([&](json& data) { data[key] = value; }); }, {"changed.msd"}))
        << key << " " << value;
  };
  refused("crop", config_.image_size + 1);
  refused("resize", config_.image_size - 1);
  refused("resize", 1.5);
  refused("resize", std::int64_t{1} << 40);
  refused("interpolation", "lanczos");
  refused("interpolation", 1);
}

TEST_F(CheckpointTest, ItsSizeIsForeseen) {
  write_checkpoint(path_, network_, data_, training_);
  const auto size = static_cast<double>(std::filesystem::file_size(path_));
  EXPECT_NEAR(static_cast<double>(checkpoint_bytes(network_)), size, 0.1 * size);
}

TEST_F(CheckpointTest, TextThatIsNotUtf8IsAnErrorOfOurs) {
  DataDescription latin = data_;
  latin.class_names = {"caf\xE9"};
  EXPECT_TRUE(throws<Error>([&] { write_checkpoint(path_, network_, latin, nullptr); }));
  EXPECT_TRUE(folder_.list().empty());
}

TEST_F(CheckpointTest, DoubleNetworksRoundTrip) {
  Network exact(config_, runtime_.allocator(), DType::f64);
  test::randomize(exact, 6);
  write_checkpoint(path_, exact, data_, nullptr);
  Network other(config_, runtime_.allocator(), DType::f64);
  read_checkpoint(path_).load_weights(other);
  EXPECT_TRUE(test::identical(test::state_of(other), test::state_of(exact)));
}

// The metadata and the tensors' table are JSON, in which a changed letter or digit is as good as
// the one it replaces: the checksum tells.
TEST_F(CheckpointTest, EveryDamagedByteOfTheHeaderIsFound) {
  write_checkpoint(path_, network_, data_, training_);
  const std::string good = read_text_file(path_);
  const std::size_t header = good.find("}}") + 2;
  RandomStream random(1, RandomPurpose::test);
  const auto damaged = [&](std::size_t at) {
    std::string file = good;
    file[at] = static_cast<char>(file[at] ^ (1 + random.below(255)));
    std::filesystem::remove(path_);
    std::ofstream(path_, std::ios::binary) << file;
    return throws<FormatError>([&] { read_checkpoint(path_); }, {"net.msd"});
  };
  for (std::size_t at = 0; at < header; ++at) ASSERT_TRUE(damaged(at)) << "byte " << at;
  for (int i = 0; i < 200; ++i) {
    const std::size_t at =
        header +
        static_cast<std::size_t>(random.below(static_cast<std::int64_t>(good.size() - header)));
    ASSERT_TRUE(damaged(at)) << "byte " << at;
  }
}

TEST_F(CheckpointTest, ATruncatedFileIsFound) {
  write_checkpoint(path_, network_, data_, training_);
  const auto size = static_cast<std::int64_t>(std::filesystem::file_size(path_));
  RandomStream random(2, RandomPurpose::test);
  for (int i = 0; i < 50; ++i) {
    const std::int64_t cut = i == 0 ? size - 1 : random.below(size);
    write_checkpoint(path_, network_, data_, training_);
    std::filesystem::resize_file(path_, static_cast<std::uintmax_t>(cut));
    EXPECT_TRUE(throws<FormatError>([&] { read_checkpoint(path_); }, {"net.msd"})) << cut;
  }
}

}  // namespace
}  // namespace msd
