// SPDX-License-Identifier: MIT
// Exported networks: their structure against what PyTorch says of the same network, their logits,
// through an interpreter of our own, against PyTorch's in double.
#include <gtest/gtest.h>

#include <cstring>
#include <ostream>

#include "engine/files/file.h"
#include "models/network/cost.h"
#include "models/network/stages.h"
#include "models/onnx/onnx_export.h"
#include "models/onnx/onnx_graph.h"
#include "tests/models/networks.h"
#include "tests/models/onnx/onnx_interpreter.h"
#include "tests/support/temp_folder.h"

namespace msd {
namespace {

using Exits = std::vector<std::int64_t>;
using Shapes = std::map<std::string, test::Shape>;
using Counts = std::map<std::string, int>;

onnx::ModelProto parse(const std::string& bytes) {
  onnx::ModelProto model;
  EXPECT_TRUE(model.ParseFromString(bytes));
  return model;
}

Network network_of(const test::Fixture& fixture, DType dtype = DType::f32) {
  return test::load_network(fixture.config(), fixture.state(), host_allocator(), dtype);
}

onnx::GraphProto graph_of(const Network& network, const OnnxOptions& options) {
  return parse(onnx_model(network, options)).graph();
}

Shapes initializers(const onnx::GraphProto& graph) {
  Shapes shapes;
  for (const onnx::TensorProto& tensor : graph.initializer()) {
    EXPECT_EQ(tensor.data_type(), onnx::TensorProto::FLOAT);
    shapes[tensor.name()] = {tensor.dims().begin(), tensor.dims().end()};
  }
  return shapes;
}

Counts operators(const onnx::GraphProto& graph) {
  Counts counts;
  for (const onnx::NodeProto& node : graph.node()) ++counts[node.op_type()];
  return counts;
}

/// Shapes of the tensors that some exit uses, in PyTorch's opinion: those that have a gradient, and
/// the statistics of their batch norms.
Shapes used_tensors(const test::Fixture& fixture) {
  const auto gradients = fixture.sampled("grad/");
  Shapes shapes;
  for (const auto& [name, tensor] : fixture.state()) {
    const std::string module = name.substr(0, name.rfind('.'));
    if (name.ends_with(".num_batches_tracked") || !gradients.contains(module + ".weight")) continue;
    shapes[name] = tensor.shape();
  }
  return shapes;
}

struct Expected {
  std::string fixture;
  // All exits, then each one alone. From torch.onnx.export (PyTorch 1.13) of bench/msdnet_torch.py,
  // batch norms preserved, one for each convolution.
  std::vector<int> convolutions, concats;
};

std::ostream& operator<<(std::ostream& out, const Expected& expected) {
  return out << expected.fixture;
}

class OnnxFixtures : public testing::TestWithParam<Expected> {
 protected:
  const test::Fixture fixture_ = test::Fixture(GetParam().fixture);
  const Network network_ = network_of(fixture_);

  /// All exits, then each one alone, as in Expected.
  std::vector<Exits> choices() const {
    std::vector<Exits> choices = {{}};
    for (std::int64_t exit = 0; exit < network_.architecture().exits(); ++exit) {
      choices.push_back({exit});
    }
    return choices;
  }
};

INSTANTIATE_TEST_SUITE_P(
    Fixtures, OnnxFixtures,
    testing::Values(Expected{"cifar_even", {32, 18, 30}, {6, 3, 6}},
                    Expected{"cifar_lin_grow", {52, 9, 28, 48}, {12, 1, 6, 12}},
                    Expected{"cifar_24x24", {32, 18, 30}, {6, 3, 6}},
                    Expected{"cifar_two_scales", {25, 14, 23}, {6, 3, 6}},
                    Expected{"prune_min", {45, 20, 43}, {9, 3, 9}},
                    Expected{"no_transitions", {29, 17, 27}, {6, 3, 6}},
                    Expected{"no_bottleneck", {21, 12, 19}, {6, 3, 6}},
                    Expected{"imagenet_four_scales", {52, 19, 50}, {10, 3, 10}},
                    Expected{"unused_branches", {20, 9, 18}, {3, 1, 3}}),
    [](const auto& test) { return test.param.fixture; });

TEST_P(OnnxFixtures, HaveTheOperatorsOfPytorchsExport) {
  const bool imagenet = fixture_.config().input_kind == InputKind::imagenet;
  const std::vector<Exits> exits = choices();
  ASSERT_EQ(exits.size(), GetParam().convolutions.size());
  for (std::size_t i = 0; i < exits.size(); ++i) {
    SCOPED_TRACE(i);
    const int heads = i == 0 ? static_cast<int>(exits.size()) - 1 : 1;
    const int convolutions = GetParam().convolutions[i];
    Counts expected = {{"Conv", convolutions},
                       {"Relu", convolutions},
                       {"Gemm", heads},
                       {"Concat", GetParam().concats[i]},
                       {"GlobalAveragePool", heads},
                       {"Flatten", heads}};
    if (imagenet) expected["MaxPool"] = 1;
    EXPECT_EQ(operators(graph_of(network_, {exits[i], true})), expected);
    expected["BatchNormalization"] = convolutions;
    EXPECT_EQ(operators(graph_of(network_, {exits[i], false})), expected);
  }
}

TEST_P(OnnxFixtures, HoldTheCheckpointsTensorsThatExitsUse) {
  const Shapes used = used_tensors(fixture_);
  const onnx::GraphProto unfolded = graph_of(network_, {{}, false});
  EXPECT_EQ(initializers(unfolded), used);
  for (const onnx::TensorProto& tensor : unfolded.initializer()) {
    const auto values = test::bytes(fixture_.state().at(tensor.name()));
    EXPECT_EQ(std::memcmp(values.data(), tensor.raw_data().data(), values.size()), 0)
        << tensor.name();
    EXPECT_EQ(values.size(), tensor.raw_data().size()) << tensor.name();
  }
  Shapes folded;
  for (const auto& [name, shape] : used) {
    if (shape.size() == 4) folded[name.substr(0, name.rfind('.')) + ".bias"] = {shape[0]};
    if (shape.size() == 4 || name.find(".linear.") != std::string::npos) folded[name] = shape;
  }
  EXPECT_EQ(initializers(graph_of(network_, {{}, true})), folded);
  for (const Exits& exits : choices()) {
    for (const auto& [name, shape] : initializers(graph_of(network_, {exits, false}))) {
      EXPECT_EQ(used.at(name), shape) << name;
    }
  }
}

TEST_P(OnnxFixtures, HaveOneInputAndTheChosenExitsAsOutputs) {
  const MsdnetConfig& config = fixture_.config();
  for (const Exits& chosen : choices()) {
    const onnx::GraphProto graph = graph_of(network_, {chosen, true});
    ASSERT_EQ(graph.input_size(), 1);
    const auto shapes = test::infer_shapes(graph, 7);
    EXPECT_EQ(graph.input(0).name(), "input");
    EXPECT_EQ(shapes.at("input"), (test::Shape{7, 3, config.image_size, config.image_size}));
    const Exits exits = chosen.empty() ? all_exits(network_.architecture()) : chosen;
    ASSERT_EQ(graph.output_size(), static_cast<int>(exits.size()));
    for (int i = 0; i < graph.output_size(); ++i) {
      const onnx::ValueInfoProto& output = graph.output(i);
      EXPECT_EQ(output.name(), "logits" + std::to_string(exits[static_cast<std::size_t>(i)] + 1));
      EXPECT_EQ(shapes.at(output.name()), (test::Shape{7, config.classes}));
      const auto& type = output.type().tensor_type();
      EXPECT_EQ(type.elem_type(), onnx::TensorProto::FLOAT);
      EXPECT_EQ(type.shape().dim(0).dim_param(), "batch");
      EXPECT_EQ(type.shape().dim(1).dim_value(), config.classes);
    }
  }
}

TEST_P(OnnxFixtures, CostWhatTheirExitsCost) {
  const std::vector<ExitCost> costs = exit_costs(network_.architecture());
  for (const bool fold : {false, true}) {
    EXPECT_EQ(test::mul_adds(graph_of(network_, {{}, fold})), costs.back().mul_adds_lazy);
    for (std::size_t k = 0; k < costs.size(); ++k) {
      const OnnxOptions one = {{static_cast<std::int64_t>(k)}, fold};
      EXPECT_EQ(test::mul_adds(graph_of(network_, one)), costs[k].mul_adds_direct) << k;
    }
  }
}

// With batch norms of their own the weights are exact and only epsilon is rounded to float
// (measured: 3e-12); folded, every weight is rounded once, 2^-24, and some 20 layers add up (2e-7).
TEST_P(OnnxFixtures, Logits) {
  const std::vector<double> images = fixture_.values("eval/input");
  const auto expected = fixture_.sampled("eval/logits");
  for (const bool fold : {false, true}) {
    SCOPED_TRACE(fold ? "folded" : "not folded");
    test::Differences differences;
    for (const Exits& exits : choices()) {
      const auto logits = test::evaluate(graph_of(network_, {exits, fold}), images);
      ASSERT_EQ(logits.size(), exits.empty() ? expected.size() : 1);
      for (const auto& [name, value] : logits) {
        const auto& sampled = expected.at(name.substr(std::string("logits").size()));
        differences.add(name, value.elems, sampled.values, sampled.stride);
      }
    }
    EXPECT_TRUE(differences.within(fold ? 1e-6 : 1e-10));
    differences.record(fold ? "folded" : "not_folded");
  }
}

TEST_P(OnnxFixtures, DoublesAreRoundedOnce) {
  const Network twice = network_of(fixture_, DType::f64);
  for (const bool fold : {false, true}) {
    EXPECT_TRUE(onnx_model(twice, {{}, fold}) == onnx_model(network_, {{}, fold})) << fold;
  }
}

// The costs are those of DESIGN's table, which cost_test.cpp checks too.
TEST(Onnx, ExportsANetworkOfThePapersSize) {
  const Network network(preset("cifar10-anytime10"), host_allocator());
  EXPECT_EQ(test::mul_adds(graph_of(network, {})), 120971776);
  EXPECT_EQ(test::mul_adds(graph_of(network, {{9}, true})), 78935296);
  EXPECT_EQ(test::mul_adds(graph_of(network, {{0}, false})), 13244672);
}

TEST(Onnx, SomeExitsAreThoseOfAll) {
  const test::Fixture fixture("cifar_lin_grow");
  const Network network = network_of(fixture);
  const std::vector<double> images = fixture.values("eval/input");
  const auto all = test::evaluate(graph_of(network, {}), images);
  const auto some = test::evaluate(graph_of(network, {{0, 2}, true}), images);
  ASSERT_EQ(some.size(), 2U);
  EXPECT_EQ(some.at("logits1").elems, all.at("logits1").elems);
  EXPECT_EQ(some.at("logits3").elems, all.at("logits3").elems);
}

TEST(Onnx, SaysItsVersionsAndMetadata) {
  const Network network(preset("cifar10-tiny"), host_allocator());
  const onnx::ModelProto model = parse(onnx_model(network, {}, {{"mean", "1,2,3"}, {"a", "ü"}}));
  EXPECT_EQ(model.ir_version(), 8);
  ASSERT_EQ(model.opset_import_size(), 1);
  EXPECT_EQ(model.opset_import(0).domain(), "");
  EXPECT_EQ(model.opset_import(0).version(), 13);
  ASSERT_EQ(model.metadata_props_size(), 2);
  EXPECT_EQ(model.metadata_props(0).key(), "a");
  EXPECT_EQ(model.metadata_props(0).value(), "ü");
  EXPECT_EQ(model.metadata_props(1).key(), "mean");
  EXPECT_EQ(model.metadata_props(1).value(), "1,2,3");
}

TEST(Onnx, TheFileIsTheModel) {
  const Network network(preset("cifar10-tiny"), host_allocator());
  const test::TempFolder folder;
  write_onnx(folder.path() / "net.onnx", network, {{1}, false}, {{"k", "v"}});
  EXPECT_TRUE(read_text_file(folder.path() / "net.onnx") ==
              onnx_model(network, {{1}, false}, {{"k", "v"}}));
}

TEST(Onnx, RefusesExitsThatAreNotThereOrNotRising) {
  const Network network(preset("cifar10-tiny"), host_allocator());
  for (const Exits& exits : {Exits{-1}, Exits{3}, Exits{1, 0}, Exits{1, 1}, Exits{0, 3}}) {
    EXPECT_THROW(onnx_model(network, {exits, true}), ShapeError) << testing::PrintToString(exits);
  }
}

TEST(Onnx, RefusesAModelThatProtobufCannotHold) {
  EXPECT_EQ(kMaxOnnxBytes, 2147483647U);
  const Network network(preset("cifar10-tiny"), host_allocator());
  const std::string bytes = onnx_model(network, {});
  const onnx::ModelProto model = parse(bytes);
  EXPECT_TRUE(serialize(model, bytes.size()) == bytes);
  EXPECT_THROW(serialize(model, bytes.size() - 1), ConfigError);
}

}  // namespace
}  // namespace msd
