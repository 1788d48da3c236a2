// SPDX-License-Identifier: MIT
// msd-convert: what it says of files, and that nothing is lost on the way from one to another.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/common/evaluate.h"
#include "data/cifar.h"
#include "data/split.h"
#include "engine/files/file.h"
#include "engine/files/torch_file.h"
#include "models/weights/torch_state.h"
#include "tests/apps/option_walk.h"
#include "tests/support/tensors.h"

namespace msd::test {
namespace {

ProgramResult run_convert(const Arguments& arguments) {
  return run_program("msd-convert", arguments);
}

class Convert : public ProgramTest {
 protected:
  // A checkpoint of a run that took a step, so with velocities; another one each call.
  std::string train(const Arguments& more = {}) {
    const std::string run = path("run" + std::to_string(++runs_));
    EXPECT_TRUE(succeeds(run_program(
        "msd-train",
        kSmallNetwork +
            Arguments{"--synthetic-train", "40", "--synthetic-test", "8", "--holdout", "8",
                      "--epochs", "1", "--batch-size", "16", "--threads", "1", "--run-dir", run} +
            more)));
    return run + "/checkpoint-latest.safetensors";
  }
  // The same tensors without a word about the network, as other programs write them.
  std::string bare(const std::string& weights) {
    const std::string to = path("bare.safetensors");
    std::vector<NamedTensor> tensors;
    for (const auto& [name, tensor] : read_checkpoint(weights).state.tensors) {
      if (!name.starts_with(kVelocityPrefix)) tensors.push_back({"module." + name, tensor});
    }
    write_safetensors(to, tensors);
    return to;
  }
  // Its state dictionary, with a counter among the tensors that no MSDNet has.
  static TorchObject network_of(const std::string& weights, const std::string& prefix = "") {
    std::vector<std::pair<TorchObject, TorchObject>> items;
    for (const auto& [name, tensor] : read_checkpoint(weights).state.tensors) {
      if (name.starts_with(kVelocityPrefix)) continue;
      items.emplace_back(TorchObject::text(prefix + name), TorchObject::tensor(tensor));
    }
    items.emplace_back(TorchObject::text("n_averaged"), TorchObject::tensor(make_counter(3)));
    return TorchObject::dict(std::move(items), true);
  }
  std::string permutation(const std::vector<std::int64_t>& order) {
    Tensor tensor =
        Tensor::empty(host_allocator(), {static_cast<std::int64_t>(order.size())}, DType::i64);
    std::copy(order.begin(), order.end(), tensor.span<std::int64_t>().begin());
    write_torch(path("index.pth"), TorchObject::tensor(tensor));
    return path("index.pth");
  }

 private:
  int runs_ = 0;
};

TEST_F(Convert, TheConfigurationOfBareWeightsIsInferredAndShown) {
  const ProgramResult said = run_convert({bare(weights_), "--json"});
  ASSERT_TRUE(succeeds(said));
  const nlohmann::json json = nlohmann::json::parse(said.out);
  EXPECT_EQ(json.at("config").get<MsdnetConfig>(), small_config());
  EXPECT_EQ(json.at("config_source"), "names and shapes");
  ASSERT_EQ(json.at("undecided").size(), 1u);
  EXPECT_NE(json.at("undecided")[0].get<std::string>().find("--image-size"), std::string::npos);
  const nlohmann::json own = nlohmann::json::parse(run_convert({weights_, "--json"}).out);
  EXPECT_EQ(own.at("config_source"), "file");
  EXPECT_EQ(own.at("config"), json.at("config"));
  EXPECT_EQ(own.at("fingerprint"), json.at("fingerprint"));
  const ProgramResult text = run_convert({bare(weights_)});
  EXPECT_NE(text.out.find("--init-channels 4 --growth-rate 2"), std::string::npos) << text.out;
}

TEST_F(Convert, ThereAndBackIsTheIdentityOnEveryTensor) {
  const std::string start = train();
  ASSERT_TRUE(succeeds(run_convert({start, path("a.pth")})));
  ASSERT_TRUE(succeeds(run_convert({path("a.pth"), path("b.safetensors")})));
  ASSERT_TRUE(succeeds(run_convert({path("b.safetensors"), path("c.pth.tar")})));
  const Checkpoint before = read_checkpoint(start);
  EXPECT_TRUE(std::any_of(before.state.tensors.begin(), before.state.tensors.end(),
                          [](const auto& e) { return e.first.starts_with(kVelocityPrefix); }));
  for (const char* name : {"a.pth", "b.safetensors", "c.pth.tar"}) {
    const Checkpoint after = read_checkpoint(path(name));
    EXPECT_TRUE(identical(after.state.tensors, before.state.tensors)) << name;
    EXPECT_EQ(after.config, before.config) << name;
    EXPECT_EQ(after.fingerprint, before.fingerprint) << name;
    EXPECT_EQ(after.state.optimizer, before.state.optimizer) << name;
    EXPECT_EQ(*after.training, *before.training) << name;
    EXPECT_EQ(after.data->preprocessing, before.data->preprocessing) << name;
  }
  EXPECT_EQ(read_text_file(path("a.pth")), read_text_file(path("c.pth.tar")));
}

TEST_F(Convert, OtherProgramsFindWhatTheyLookFor) {
  ASSERT_TRUE(succeeds(run_convert({train(), path("a.pth"), "--module-prefix"})));
  const FileBytes bytes(path("a.pth"));
  const TorchFile file(bytes.bytes());
  const PickleValue* state = file.root().find("state_dict");
  ASSERT_NE(state, nullptr);
  const auto& items = state->as<PickleValue::Dict>()->items;
  EXPECT_EQ(*items.front().first->as<std::string>(), "module.blocks.0.0.layers.0.net.0.weight");
  EXPECT_EQ(*items.back().first->as<std::string>(), "module.classifier.1.linear.bias");
  const PickleValue* group =
      file.root().find("optimizer")->find("param_groups")->as<PickleValue::List>()->items[0];
  EXPECT_EQ(*group->find("momentum")->as<double>(), 0.9);
  EXPECT_EQ(*group->find("nesterov")->as<bool>(), true);
}

TEST_F(Convert, WeightsOnlyLeavesTheOptimizerOut) {
  ASSERT_TRUE(succeeds(run_convert({train(), path("w.safetensors"), "--weights-only"})));
  const Checkpoint weights = read_checkpoint(path("w.safetensors"));
  EXPECT_FALSE(weights.state.optimizer.has_value());
  for (const auto& entry : weights.state.tensors) {
    EXPECT_FALSE(entry.first.starts_with(kVelocityPrefix));
  }
}

TEST_F(Convert, EveryProgramReadsWhatItWrites) {
  ASSERT_TRUE(succeeds(run_convert({weights_, path("w.pth")})));
  const auto images = [&](const std::string& weights) {
    return run_program("msd-infer",
                       {"--weights", weights, "--dataset", "synthetic", "--limit", "3", "--json"});
  };
  const auto answers = [&](const std::string& weights) {
    std::string text;
    for (nlohmann::json line : json_lines(images(weights).out)) {
      if (!line.contains("summary")) text += line.value("confidence", nlohmann::json()).dump();
    }
    return text;
  };
  EXPECT_TRUE(succeeds(images(path("w.pth"))));
  EXPECT_EQ(answers(path("w.pth")), answers(weights_));
  EXPECT_TRUE(succeeds(run_program(
      "msd-eval", {"--weights", path("w.pth"), "--dataset", "synthetic", "--time-images", "0"})));
  EXPECT_TRUE(succeeds(run_program("msd-train", {"--weights", path("w.pth"), "--dry-run"})));
}

TEST_F(Convert, OnnxHasTheExitsAskedFor) {
  const auto has = [this](const Arguments& arguments) {
    EXPECT_TRUE(succeeds(run_convert(Arguments{weights_, path("w.onnx")} + arguments)));
    const std::string file = read_text_file(path("w.onnx"));
    std::string exits;
    for (const char* exit : {"1", "2", "3"}) {
      if (file.find(std::string("logits") + exit) != std::string::npos) exits += exit;
    }
    return exits;
  };
  EXPECT_EQ(has({}), "123");
  EXPECT_EQ(has({"--exit", "2"}), "2");
}

TEST_F(Convert, CostListsAndPermutationsAreShown) {
  write_torch(path("flops.pth"),
              TorchObject::list({TorchObject::integer(6859876), TorchObject::real(0.5)}));
  EXPECT_EQ(run_convert({path("flops.pth"), "--json"}).out, "[6859876,0.5]\n");
  EXPECT_NE(run_convert({path("flops.pth")}).out.find("6859876"), std::string::npos);
  const std::string index = permutation({2, 0, 1});
  EXPECT_NE(run_convert({index}).out.find("i64 [3], a permutation of 0 to 2: [2,0,1]"),
            std::string::npos);
  ASSERT_TRUE(succeeds(run_convert({index, path("i.json")})));
  EXPECT_EQ(nlohmann::json::parse(read_text_file(path("i.json"))),
            nlohmann::json::parse(R"({"dtype":"i64","shape":[3],"values":[2,0,1]})"));
  ASSERT_TRUE(succeeds(run_convert({index, path("i.safetensors")})));
  EXPECT_EQ(doubles(read_safetensors(path("i.safetensors")).tensors.at("value")),
            (std::vector<double>{2, 0, 1}));
}

// A network of another kind is not shown as if it were some values: nobody looks at 300 lines.
TEST_F(Convert, OtherWeightsAreRefusedUnlessTheirValuesAreAskedFor) {
  const Tensor weight = make_tensor({2, 1}, {1, 2});
  write_torch(path("resnet.pth"),
              TorchObject::dict({{TorchObject::text("state_dict"),
                                  TorchObject::dict({{TorchObject::text("conv1.weight"),
                                                      TorchObject::tensor(weight)}})}}));
  write_safetensors(path("resnet.safetensors"), {{"conv1.weight", weight}});
  for (const char* name : {"resnet.pth", "resnet.safetensors"}) {
    SCOPED_TRACE(name);
    EXPECT_TRUE(fails(run_convert({path(name)}), 1, {name, "MSDNet"}));
    EXPECT_TRUE(fails(run_convert({path(name), "--json"}), 1, {name, "MSDNet"}));
    EXPECT_TRUE(fails(run_convert({path(name), path("x.safetensors")}), 1, {name, "MSDNet"}));
    const ProgramResult said = run_convert({path(name), "--values"});
    ASSERT_TRUE(succeeds(said));
    EXPECT_NE(said.out.find("conv1.weight: tensor f32 [2,1]"), std::string::npos) << said.out;
    ASSERT_TRUE(succeeds(run_convert({path(name), path("x.safetensors"), "--values"})));
    const auto tensors = read_safetensors(path("x.safetensors")).tensors;
    ASSERT_EQ(tensors.size(), 1u);
    EXPECT_EQ(doubles(tensors.begin()->second), (std::vector<double>{1, 2}));
  }
  EXPECT_TRUE(fails(run_convert({path("resnet.pth")}), 1, {"--values"}));
  // Also of an MSDNet's file, as they are.
  EXPECT_NE(run_convert({weights_, "--values"}).out.find("blocks.0.0.layers.0.net.0.weight"),
            std::string::npos);
}

TEST_F(Convert, ValuesThatNoTensorHereCanHoldAreNamed) {
  const std::string header = R"({"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},)"
                             R"("b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})";
  std::string file(8, '\0');
  file[0] = static_cast<char>(header.size());
  write_file_atomically(path("i8.safetensors"), file + header + "\1\2\3\4");
  const ProgramResult shown = run_convert({path("i8.safetensors"), "--values"});
  ASSERT_TRUE(succeeds(shown));
  EXPECT_NE(shown.out.find("a: tensor of I8"), std::string::npos) << shown.out;
  const ProgramResult written =
      run_convert({path("i8.safetensors"), path("x.safetensors"), "--values"});
  ASSERT_TRUE(succeeds(written));
  EXPECT_NE(written.err.find("left out, as no tensor here has their types: a\n"), std::string::npos)
      << written.err;
  EXPECT_EQ(doubles(read_safetensors(path("x.safetensors")).tensors.at("b")),
            (std::vector<double>{3, 4}));
}

TEST_F(Convert, SaysWhatElseAFileHoldsAndWhatWasTaken) {
  write_torch(path("w.pth"),
              TorchObject::dict({{TorchObject::text("state_dict"), network_of(weights_, "model.")},
                                 {TorchObject::text("ema"), network_of(weights_)},
                                 {TorchObject::text("arch"), TorchObject::text("msdnet")}}));
  const ProgramResult said = run_convert({path("w.pth")});
  ASSERT_TRUE(succeeds(said));
  EXPECT_NE(said.out.find("arch: \"msdnet\""), std::string::npos) << said.out;
  const auto json = nlohmann::json::parse(run_convert({path("w.pth"), "--json"}).out);
  EXPECT_EQ(json.at("beside").at("arch"), "\"msdnet\"");
  EXPECT_EQ(json.at("notes").size(), 3u);
  // Every program warns, and classifies.
  const ProgramResult infer = run_program(
      "msd-infer", {"--weights", path("w.pth"), "--dataset", "synthetic", "--limit", "1"});
  ASSERT_TRUE(succeeds(infer));
  for (const char* part : {"w.pth", "state_dict.model is taken", "\"model.\"", "n_averaged"}) {
    EXPECT_NE(said.err.find(part), std::string::npos) << said.err;
    EXPECT_NE(infer.err.find(part), std::string::npos) << infer.err;
  }
  ASSERT_TRUE(succeeds(run_convert({path("w.pth"), path("ema.pth"), "--entry", "ema"})));
  EXPECT_EQ(read_checkpoint(path("ema.pth")).fingerprint, read_checkpoint(weights_).fingerprint);
  EXPECT_TRUE(fails(run_convert({path("w.pth"), "--entry", "swa"}), 1, {"swa", "ema"}));
}

TEST_F(Convert, APermutationBecomesASplit) {
  const std::string data = write_cifar(folder_ / "cifar");
  const std::string index = permutation({8, 1, 2, 3, 0, 5, 6, 7, 4});
  const Arguments to_split = {index, path("split.json"), "--dataset", "cifar10", "--data", data};
  EXPECT_TRUE(fails(run_convert(to_split), 1, {"index.pth", "--holdout"}));
  ASSERT_TRUE(succeeds(run_convert(to_split + Arguments{"--holdout", "3"})));
  const Dataset cifar = load_cifar(Cifar::cifar10, data);
  const std::vector<std::int64_t> expected = {4, 6, 7};
  EXPECT_EQ(load_split(path("split.json"), cifar).holdout, expected);
  EXPECT_EQ(load_split(index, cifar, 3).holdout, expected);
}

TEST_F(Convert, WhatCannotBeIsSaid) {
  EXPECT_TRUE(fails(run_convert({weights_, weights_}), 1, {"same file"}));
  EXPECT_TRUE(fails(run_convert({weights_, path("x.foo")}), 2, {"x.foo", "--to"}));
  EXPECT_TRUE(fails(run_convert({weights_, path("x.json")}), 1, {"weights", ".onnx"}));
  EXPECT_TRUE(fails(run_convert({permutation({0}), path("x.pth")}), 1, {"index.pth", ".json"}));
  EXPECT_TRUE(fails(run_convert({path("absent")}), 1, {"absent"}));
  EXPECT_TRUE(
      fails(run_convert({weights_, path("x.onnx"), "--exit", "4"}), 1, {"--exit 4", "3 exits"}));
  EXPECT_TRUE(fails(run_convert({bare(weights_), "--blocks", "2"}), 1, {"--blocks 2"}));
  EXPECT_TRUE(fails(run_convert({weights_, "--growth-rate", "4"}), 1, {"blocks.0.1."}));
  write_safetensors(path("other.safetensors"), {{"input", make_tensor({2}, {1, 2})}});
  EXPECT_TRUE(fails(run_convert({path("other.safetensors")}), 1, {"not an MSDNet", "input"}));
}

class ConvertOptionsTest : public Convert {};

TEST_F(ConvertOptionsTest, EveryOneMatters) {
  const Observe said = [](const Arguments& arguments) {
    return everything_said(run_convert(arguments));
  };
  // The file that a conversion leaves, and how it ended.
  const Observe written = [this](const Arguments& arguments) {
    std::filesystem::remove(path("out.pth"));
    std::filesystem::remove(path("out.onnx"));
    std::filesystem::remove(path("out.json"));
    std::string all = std::to_string(run_convert(arguments).exit_code);
    for (const char* name : {"out.pth", "out.onnx", "out.json"}) {
      if (std::filesystem::exists(path(name))) all += name + read_text_file(path(name));
    }
    return all;
  };
  const std::string trained = train(), other = train({"--seed", "2"});
  const Arguments pth = {trained, path("out.pth")}, onnx = {weights_, path("out.onnx")};
  const Arguments split = {permutation({8, 1, 2, 3, 0, 5, 6, 7, 4}), path("out.json")};
  const auto of = [&](const std::string& data, const std::string& holdout) {
    return split + Arguments{"--dataset", "cifar10", "--data", data, "--holdout", holdout};
  };
  const std::string one = write_cifar(folder_ / "one", 1), two = write_cifar(folder_ / "two", 2);
  write_file_atomically(path("names.txt"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n");
  const auto images = [&](const std::string& option, const std::string& value) {
    return changes(option, written, pth, pth + Arguments{option, value});
  };
  const Arguments mean = {"--mean", "0.5,0.5,0.5"}, std = {"--std", "0.5,0.5,0.5"};
  std::vector<OptionRow> rows = network_rows(said, {weights_});
  write_torch(path("two.pth"),
              TorchObject::dict({{TorchObject::text("state_dict"), network_of(trained)},
                                 {TorchObject::text("ema"), network_of(other)}}));
  const std::vector<OptionRow> own = {
      changes("--values", said, {trained}, {trained, "--values"}),
      changes("--entry", said, {path("two.pth")}, {path("two.pth"), "--entry", "ema"}),
      {"input", [&] { return testing::AssertionResult(said({trained}) != said({other})); }},
      {"output", [&] { return testing::AssertionResult(written({trained}) != written(pth)); }},
      changes("--to", written, pth, pth + Arguments{"--to", "safetensors"}),
      changes("--json", said, {trained}, {trained, "--json"}),
      changes("--weights-only", written, pth, pth + Arguments{"--weights-only"}),
      changes("--module-prefix", written, pth, pth + Arguments{"--module-prefix"}),
      changes("--exit", written, onnx, onnx + Arguments{"--exit", "1"}),
      changes("--keep-batchnorm", written, onnx, onnx + Arguments{"--keep-batchnorm"}),
      changes("--dataset", written, split, of(one, "3")),
      changes("--data", written, of(one, "3"), of(two, "3")),
      changes("--holdout", written, of(one, "3"), of(one, "2")),
      images("--resize", "40"),
      images("--crop", "31"),
      images("--interpolation", "bicubic"),
      images("--normalise", "imagenet"),
      images("--class-names", path("names.txt")),
      changes("--mean", written, pth + Arguments{"--mean", "0.4,0.4,0.4"} + std, pth + mean + std),
      changes("--std", written, pth + mean + Arguments{"--std", "0.4,0.4,0.4"}, pth + mean + std)};
  rows.insert(rows.end(), own.begin(), own.end());
  expect_every_option_matters("msd-convert", rows);
}

}  // namespace
}  // namespace msd::test
