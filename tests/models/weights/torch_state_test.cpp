// SPDX-License-Identifier: MIT
// Weights as people have them: under other names, with other things beside and among them.
#include "models/weights/torch_state.h"

#include <gtest/gtest.h>

#include <string>

#include "engine/files/file.h"
#include "models/weights/checkpoint.h"
#include "models/weights/network_place.h"
#include "tests/models/networks.h"
#include "tests/support/errors.h"
#include "tests/support/pickle_bytes.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tensors.h"

namespace msd {
namespace {

using test::global;
using test::Tensors;
using test::text;
using test::throws;

class TorchStateTest : public testing::Test {
 protected:
  TorchStateTest() {
    test::randomize(network_, 3);
    state_ = test::state_of(network_);
  }

  // A pickle's dictionary of these tensors, whose storages go into the file.
  std::string dict_of(const Tensors& tensors, const std::string& prefix = "") {
    std::string out = "}(";
    for (const auto& [name, tensor] : tensors) {
      out += text(prefix + name) + pickled(tensor);
    }
    return out + "u";
  }
  std::string pickled(const Tensor& tensor) {
    const std::string key = std::to_string(storages_.size());
    const auto bytes = test::bytes(tensor);
    storages_.emplace_back(key,
                           std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    const char* type = tensor.dtype() == DType::i64 ? "LongStorage" : "FloatStorage";
    return test::tensor(test::storage(type, key, tensor.elems()), 0, tensor.shape(),
                        tensor.strides());
  }
  // Of pairs: a key's text and a value's pickle.
  std::filesystem::path file_of(const std::vector<std::pair<std::string, std::string>>& entries) {
    std::string root = "}(";
    for (const auto& [key, value] : entries) root += text(key) + value;
    return file_of(root + "u");
  }
  std::filesystem::path file_of(const std::string& value) {
    write_file_atomically(folder_ / "a.pth", test::torch_zip("\x80\x02" + value + ".", storages_));
    storages_.clear();
    return folder_ / "a.pth";
  }
  std::filesystem::path bare(const Tensors& tensors) { return file_of(dict_of(tensors)); }
  std::filesystem::path safetensors(const Tensors& tensors) {
    std::vector<NamedTensor> named;
    for (const auto& [name, tensor] : tensors) named.push_back({name, tensor});
    write_safetensors(folder_ / "a.safetensors", named);
    return folder_ / "a.safetensors";
  }
  testing::AssertionResult is_the_network(const Checkpoint& read) {
    return test::identical(read.state.tensors, state_);
  }
  static std::string notes_of(const Checkpoint& read) {
    std::string all;
    for (const std::string& note : read.state.notes) all += note + "\n";
    return all;
  }
  static Tensors renamed(const Tensors& tensors, const std::string& prefix) {
    Tensors out;
    for (const auto& [name, tensor] : tensors) out[prefix + name] = tensor;
    return out;
  }
  // As torch.nn has modules: a tree of objects with these attributes.
  std::string module(const Tensors& below) {
    Tensors own;
    std::map<std::string, Tensors> modules;
    for (const auto& [name, tensor] : below) {
      const std::size_t dot = name.find('.');
      if (dot == name.npos) {
        own[name] = tensor;
      } else {
        modules[name.substr(0, dot)][name.substr(dot + 1)] = tensor;
      }
    }
    std::string held = "}(";
    for (const auto& [name, tensors] : modules) held += text(name) + module(tensors);
    return global("train", "Module") + ")\x81}(" + text("training") + "\x89" + text("_parameters") +
           dict_of(own) + text("_buffers") + "}" + text("_modules") + held + "uub";
  }

  const test::TempFolder folder_;
  Runtime runtime_;
  Network network_{test::Fixture("unused_branches").config(), runtime_.allocator()};
  Tensors state_;
  test::Entries storages_;
};

TEST_F(TorchStateTest, OnePrefixIsTakenOffAndNamed) {
  for (const char* prefix :
       {"_orig_mod.", "model.", "module._orig_mod.", "backbone.net.", "ema_"}) {
    const Tensors wrapped = renamed(state_, prefix);
    for (const auto& path : {bare(wrapped), safetensors(wrapped)}) {
      const Checkpoint read = read_checkpoint(path);
      EXPECT_TRUE(is_the_network(read)) << prefix;
      EXPECT_NE(notes_of(read).find(message('"', prefix, '"')), std::string::npos);
      EXPECT_EQ(read.state.notes.size(), 1u);
    }
  }
  // DataParallel's is everybody's.
  const Checkpoint read = read_checkpoint(bare(renamed(state_, "module.")));
  EXPECT_TRUE(is_the_network(read));
  EXPECT_EQ(notes_of(read), "");
}

TEST_F(TorchStateTest, RidersAreNamedInOneNote) {
  Tensors riders = renamed(state_, "module.");
  riders["n_averaged"] = test::make_counter(5);
  for (const auto& [name, tensor] : state_) {
    riders["module." + name.substr(0, name.rfind('.')) + ".total_ops"] =
        test::make_tensor({1}, {0});
  }
  riders["module.aux.weight"] = test::make_tensor({2}, {1, 2});
  for (const auto& path : {bare(riders), safetensors(riders)}) {
    const Checkpoint read = read_checkpoint(path);
    EXPECT_TRUE(is_the_network(read));
    ASSERT_EQ(read.state.notes.size(), 1u);
    for (const char* part : {"n_averaged", "*.total_ops (", "module.aux.weight"}) {
      EXPECT_NE(read.state.notes[0].find(part), std::string::npos) << read.state.notes[0];
    }
    EXPECT_NO_THROW(require_state(read, deduce_config(read).config));
  }
}

TEST_F(TorchStateTest, WhatIsNoTensorIsARiderToo) {
  std::string dict = dict_of(state_);
  dict.insert(dict.size() - 1, text("_extra_state") + "N" + text("scale") + "}");
  const Checkpoint read = read_checkpoint(file_of(dict));
  EXPECT_TRUE(is_the_network(read));
  EXPECT_NE(notes_of(read).find("_extra_state, scale"), std::string::npos) << notes_of(read);
}

TEST_F(TorchStateTest, AMissingTensorIsAnErrorAndSoIsOneThatChangesTheNetwork) {
  Tensors missing = state_, biased = state_;
  missing.erase("classifier.0.linear.bias");
  biased["blocks.0.0.layers.0.net.0.bias"] = test::make_tensor({2}, {1, 2});
  EXPECT_TRUE(throws<ConfigError>([&] { deduce_config(read_checkpoint(bare(missing))); },
                                  {"classifier.0.linear.bias is missing"}));
  EXPECT_TRUE(throws<ConfigError>([&] { deduce_config(read_checkpoint(bare(biased))); },
                                  {"blocks.0.0.layers.0.net.0.bias"}));
}

TEST_F(TorchStateTest, ATensorOfAnotherTypeIsNamedWhereItIsNeeded) {
  const std::string name = "blocks.0.0.layers.0.net.0.weight";
  std::string dict = dict_of(state_);
  storages_.emplace_back("q", std::string(4, '\1'));
  dict.insert(dict.size() - 1,
              text(name) + test::tensor(test::storage("CharStorage", "q", 4), 0, {4}, {1}));
  EXPECT_TRUE(throws<FormatError>([&] { read_checkpoint(file_of(dict)); }, {name, "int8"}));
}

// Of each kind one value, as PyTorch's full loader and weights_only=True take them.
TEST_F(TorchStateTest, OtherThingsMayLieBesideTheWeights) {
  storages_.emplace_back("q", std::string(4, '\1'));
  const std::string milestones = global("collections", "Counter") + "}" + text("150") + "K\1s\x85R";
  const std::string device = global("torch", "device") + text("cuda") + "\x85R";
  const std::string args = global("argparse", "Namespace") + ")\x81}" + text("lr") + "G?\xe0" +
                           std::string(6, '\0') + "s" + "b";
  const auto path =
      file_of({{"epoch", "K\3"},
               {"state_dict", dict_of(renamed(state_, "module."))},
               {"scheduler", "}" + text("milestones") + milestones + "s"},
               {"device", device},
               {"dtype", global("torch", "bfloat16")},
               {"set", global("__builtin__", "set") + "]K\1a\x85R"},
               {"bytes", "C\2ab"},
               {"args", args},
               {"mask", test::tensor(test::storage("CharStorage", "q", 4), 0, {4}, {1})}});
  const Checkpoint read = read_checkpoint(path);
  EXPECT_TRUE(is_the_network(read));
  EXPECT_EQ(notes_of(read), "");
  std::map<std::string, std::string> beside(read.state.beside.begin(), read.state.beside.end());
  EXPECT_EQ(beside.at("epoch"), "3");
  EXPECT_EQ(beside.at("scheduler"), "a dictionary of 1");
  EXPECT_EQ(beside.at("device"), "torch.device(\"cuda\")");
  EXPECT_EQ(beside.at("dtype"), "the class or function torch.bfloat16");
  EXPECT_EQ(beside.at("set"), "a list of 1");
  EXPECT_EQ(beside.at("bytes"), "bytes");
  EXPECT_EQ(beside.at("args"), "argparse.Namespace");
  EXPECT_EQ(beside.at("mask"), "tensor of int8(4)");
  EXPECT_FALSE(beside.contains("state_dict"));
}

TEST_F(TorchStateTest, OfSeveralNetworksTheUsualOneIsTakenAndSaid) {
  Tensors other = state_;
  other["classifier.0.linear.bias"] =
      Tensor::zeros(host_allocator(), state_.at("classifier.0.linear.bias").shape(), DType::f32);
  const auto two = [&](const char* first, const char* second) {
    return file_of({{first, dict_of(state_)}, {second, dict_of(other, "module.")}});
  };
  for (const auto& [first, second] :
       {std::pair{"state_dict", "ema"}, {"model", "model_ema"}, {"state_dict", "model"}}) {
    const Checkpoint read = read_checkpoint(two(first, second));
    EXPECT_TRUE(is_the_network(read)) << first;
    EXPECT_NE(notes_of(read).find(message(", ", first, " is taken")), std::string::npos)
        << notes_of(read);
    const Checkpoint asked = read_checkpoint(two(first, second), second);
    EXPECT_TRUE(test::identical(asked.state.tensors, other)) << second;
  }
  const auto ambiguous = two("best", "last");
  EXPECT_TRUE(throws<FormatError>([&] { read_checkpoint(ambiguous); },
                                  {"2 networks, best, last.module", "--entry"}));
  EXPECT_TRUE(is_the_network(read_checkpoint(ambiguous, "best")));
  EXPECT_TRUE(throws<FormatError>([&] { read_checkpoint(ambiguous, "first"); }, {"first", "best"}));
}

TEST_F(TorchStateTest, OfSeveralNetworksInOneDictionaryToo) {
  const auto both = [&](const char* first, const char* second) {
    Tensors all = renamed(state_, first);
    all.merge(renamed(state_, second));
    return all;
  };
  for (const auto& path : {bare(both("model.", "ema_model.")), safetensors(both("", "ema."))}) {
    const Checkpoint read = read_checkpoint(path);
    EXPECT_TRUE(is_the_network(read));
    EXPECT_EQ(notes_of(read).find("left out"), std::string::npos) << notes_of(read);
    EXPECT_NE(notes_of(read).find("is taken"), std::string::npos);
  }
  for (const auto& path : {bare(both("student.", "teacher.")), safetensors(both("", "module."))}) {
    EXPECT_TRUE(throws<FormatError>([&] { read_checkpoint(path); }, {"2 networks", "--entry"}));
  }
  EXPECT_TRUE(is_the_network(read_checkpoint(bare(both("student.", "teacher.")), "teacher")));
}

TEST_F(TorchStateTest, WholeModelsAreRead) {
  const std::string wrapped = module(renamed(state_, "module."));
  EXPECT_TRUE(is_the_network(read_checkpoint(file_of(wrapped))));
  const std::string model = module(state_);
  const Checkpoint read = read_checkpoint(file_of({{"model", model}, {"epoch", "K\3"}}));
  EXPECT_TRUE(is_the_network(read));
  EXPECT_NO_THROW(require_state(read, deduce_config(read).config));
}

// Modules that hold the next one twice, and one that holds itself.
TEST_F(TorchStateTest, HostileModelsEnd) {
  const auto holding = [](const std::string& below) {
    return global("train", "Module") + ")\x81}(" + text("_parameters") + "}" + text("_modules") +
           "}(" + text("a") + below + "q\1" + text("b") + "h\1uub";
  };
  std::string doubling = "N";
  for (int i = 0; i < 30; ++i) doubling = holding(doubling);
  EXPECT_TRUE(throws<FormatError>([&] { read_checkpoint(file_of(doubling)); }, {"a.pth"}));
  EXPECT_TRUE(throws<FormatError>(
      [&] {
        read_checkpoint(file_of(global("train", "Module") + ")\x81q\1}(" + text("_parameters") +
                                "}" + text("_modules") + "}" + text("a") + "h\1sub"));
      },
      {"too deep"}));
}

TEST_F(TorchStateTest, FilesThatAreNoWeightsAreCalledWhatTheyAre) {
  const auto refused = [&](const std::string& bytes, std::string_view kind) {
    write_file_atomically(folder_ / "b.pth", bytes);
    return throws<FormatError>([&] { read_checkpoint(folder_ / "b.pth"); }, {"b.pth", kind});
  };
  EXPECT_TRUE(refused("<!DOCTYPE html><html>", "an HTML page"));
  EXPECT_TRUE(refused("version https://git-lfs.github.com/spec/v1\n", "git lfs pull"));
  EXPECT_TRUE(refused("", "empty file"));
  EXPECT_TRUE(refused("\x01\x02\x03 unknown \xff", "no file of weights that is known"));
  EXPECT_TRUE(refused(test::torch_zip(test::list_of({}), {}), "without the state dictionary"));
}

TEST(NetworkPlaces, NamesOfSomeMsdnet) {
  for (const char* name :
       {"blocks.0.0.layers.0.net.0.weight", "blocks.0.0.layers.0.0.bias",
        "blocks.10.2.layers.1.conv_down.net.3.running_var", "blocks.1.3.m.0.net.1.bias",
        "blocks.1.1.layers.0.conv_normal.net.1.num_batches_tracked",
        "classifier.0.m.1.net.0.weight", "classifier.3.linear.weight"}) {
    EXPECT_TRUE(is_network_name(name)) << name;
  }
  for (const char* name :
       {"", ".", "n_averaged", "blocks.0.0.layers.0.net.0.total_ops", "blocks.0.total_params",
        "blocks.x.0.layers.0.net.0.weight", "blocks.0.0.layers.0.net.0.weight.x",
        "classifier.0.linear", "classifier..linear.weight", "fc.weight"}) {
    EXPECT_FALSE(is_network_name(name)) << name;
  }
  EXPECT_EQ(network_prefix("a.b.blocks.0.0.layers.0.net.0.weight"), "a.b.");
  EXPECT_EQ(network_prefix("blocks.0.0.layers.0.0.weight"), "");
  EXPECT_EQ(network_prefix("blocks.0.1.layers.0.0.weight"), std::nullopt);
}

TEST(NetworkPlaces, ManyNamesAreAFewWords) {
  EXPECT_EQ(names_text({"a.x", "b", "c.x", "d.x", "e.x"}), "*.x (4), b");
  EXPECT_EQ(names_text({"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}),
            "1, 2, 3, 4, 5, 6, 7, 8 and 2 more");
}

}  // namespace
}  // namespace msd
