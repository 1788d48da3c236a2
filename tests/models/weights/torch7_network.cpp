// SPDX-License-Identifier: MIT
#include "tests/models/weights/torch7_network.h"

#include <cmath>
#include <utility>

#include "models/network/architecture.h"
#include "models/weights/torch7_state.h"

namespace msd::test {
namespace {

using Write = std::function<void()>;
using Writes = std::vector<Write>;
using Fields = std::vector<std::pair<std::string, Write>>;

class NetworkWriter {
 public:
  NetworkWriter(const MsdnetConfig& config, const Tensors& state, const Torch7Style& style)
      : config_(config), state_(state), style_(style) {
    if (!style.flat) return;
    for (const auto& [name, tensor] : state) {
      if (tensor.dtype() != DType::f32) continue;
      offsets_[name] = static_cast<std::int64_t>(flat_.size()) + 1;
      const auto values = tensor.span<float>();
      flat_.insert(flat_.end(), values.begin(), values.end());
    }
  }

  std::vector<std::byte> run() {
    const auto joint = [&] { network(); };
    if (style_.around) {
      style_.around(w_, joint);
    } else {
      container("nn.Sequential", {joint});
    }
    return w_.bytes();
  }

 private:
  void object(const std::string& class_name, const Fields& fields) {
    const auto other = style_.classes.find(class_name);
    w_.object(other == style_.classes.end() ? class_name : other->second, style_.version);
    w_.table(static_cast<std::int64_t>(fields.size()));
    for (const auto& [key, write] : fields) {
      w_.text(key);
      write();
    }
  }
  Write number(const std::string& key, double value) {
    const auto other = style_.numbers.find(key);
    if (other != style_.numbers.end()) value = other->second;
    return [this, value] { w_.number(value); };
  }
  Write cleared() {
    return [this] {
      w_.tensor("torch.FloatTensor", {}, {});
      w_.nil();
    };
  }
  Write named(const std::string& name) {
    return [this, name] { tensor(name, state_.at(name)); };
  }
  void tensor(const std::string& name, const Tensor& value, std::vector<std::int64_t> shape = {}) {
    const auto other = style_.shared.find(name);
    std::int32_t& index = written_[other == style_.shared.end() ? name : other->second];
    if (index != 0) return w_.again(4, index);
    if (shape.empty()) shape = value.shape();
    if (!offsets_.contains(name)) {
      index = w_.tensor(Tensor::over(borrowed(value), 0, shape, packed(shape), value.dtype()),
                        style_.cuda);
      return;
    }
    const std::string prefix = style_.cuda ? "torch.Cuda" : "torch.Float";
    index = w_.tensor(prefix + "Tensor", shape, packed(shape), offsets_.at(name));
    if (storage_ != 0) return w_.again(4, storage_);
    storage_ = w_.storage(prefix + "Storage", flat_.data(), static_cast<std::int64_t>(flat_.size()),
                          static_cast<std::int64_t>(flat_.size() * sizeof(float)));
  }
  static std::vector<std::int64_t> packed(const std::vector<std::int64_t>& shape) {
    std::vector<std::int64_t> strides(shape.size(), 1);
    for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
    return strides;
  }
  static std::shared_ptr<Buffer> borrowed(const Tensor& value) {
    return std::make_shared<Buffer>(std::make_shared<const Tensor>(value),
                                    static_cast<std::byte*>(value.data()),
                                    value.elems() * size_bytes(value.dtype()));
  }

  void container(const std::string& class_name, const Writes& modules) {
    object(class_name, {{"train", [this] { w_.boolean(false); }},
                        {"output", cleared()},
                        {"gradInput", cleared()},
                        {"modules", [&] {
                           // Lua goes through a table's keys in any order.
                           w_.table(static_cast<std::int64_t>(modules.size()));
                           for (std::size_t i = modules.size(); i-- > 0;) {
                             w_.number(static_cast<double>(i + 1));
                             modules[i]();
                           }
                         }}});
  }
  Write plain(const std::string& class_name, const Fields& fields = {}) {
    return [=, this] { object(class_name, fields); };
  }

  void convolution(const std::string& name, std::int64_t kernel, std::int64_t stride) {
    const Tensor& weight = state_.at(name + ".weight");
    const auto size = static_cast<double>(kernel), step = static_cast<double>(stride);
    const std::int64_t out = weight.shape()[0], padding = kernel / 2;
    Fields fields = {{"nInputPlane", number("nInputPlane", static_cast<double>(weight.shape()[1]))},
                     {"nOutputPlane", number("nOutputPlane", static_cast<double>(out))},
                     {"kW", number("kW", size)},
                     {"kH", number("kH", size)},
                     {"dW", number("dW", step)},
                     {"dH", number("dH", step)},
                     {"padW", number("padW", static_cast<double>(padding))},
                     {"padH", number("padH", static_cast<double>(padding))},
                     {"groups", number("groups", 1)},
                     {"gradWeight", cleared()},
                     {"weight", [this, name, &weight, out] {
                        const std::vector<std::int64_t> matrix = {out, weight.elems() / out};
                        tensor(name + ".weight", weight,
                               style_.matrix ? matrix : std::vector<std::int64_t>{});
                      }}};
    if (state_.contains(name + ".bias")) fields.emplace_back("bias", named(name + ".bias"));
    object(style_.matrix ? "nn.SpatialConvolutionMM" : "cudnn.SpatialConvolution", fields);
  }

  void batchnorm(const std::string& name) {
    Fields fields = {{"running_mean", named(name + ".running_mean")},
                     {"eps", number("eps", 1e-5)},
                     {"momentum", number("momentum", 0.1)}};
    if (style_.affine) {
      fields.emplace_back("weight", named(name + ".weight"));
      fields.emplace_back("bias", named(name + ".bias"));
    }
    if (style_.running_std) {
      fields.emplace_back("running_std", [this, name] {
        const Tensor& variance = state_.at(name + ".running_var");
        std::vector<double> values = doubles(variance);
        for (double& value : values) value = 1.0 / std::sqrt(value + 1e-5);
        w_.tensor(make_tensor(variance.shape(), values, variance.dtype()), style_.cuda);
      });
    } else {
      fields.emplace_back("running_var", named(name + ".running_var"));
    }
    object("cudnn.SpatialBatchNormalization", fields);
  }

  // Appends convolution, batch norm and ReLU.
  void unit(Writes& modules, const std::string& conv, const std::string& norm, std::int64_t kernel,
            std::int64_t stride) {
    modules.push_back([=, this] { convolution(conv, kernel, stride); });
    modules.push_back([=, this] { batchnorm(norm); });
    modules.push_back(plain("cudnn.ReLU", {{"inplace", [this] { w_.boolean(true); }}}));
  }
  Write sequential(const Writes& modules) {
    return [=, this] { container("nn.Sequential", modules); };
  }

  void stem() {
    Writes scales;
    for (std::int64_t j = 0; j < config_.scales(); ++j) {
      Writes modules;
      const std::string at = "blocks.0.0.layers." + std::to_string(j) + ".";
      if (j == 0 && config_.input_kind == InputKind::imagenet) {
        unit(modules, at + "0", at + "1", 7, 2);
        modules.push_back(plain("nn.SpatialMaxPooling", {{"kW", number("pool", 3)},
                                                         {"kH", number("pool", 3)},
                                                         {"dW", number("pool stride", 2)},
                                                         {"dH", number("pool stride", 2)},
                                                         {"padW", number("pool padding", 1)},
                                                         {"padH", number("pool padding", 1)}}));
      } else {
        unit(modules, at + "net.0", at + "net.1", 3, j == 0 ? 1 : 2);
      }
      scales.push_back(sequential(modules));
    }
    container("nn.MSDNet_Layer_first", scales);
  }

  Write branch(const std::string& net, std::int64_t stride) {
    Writes modules;
    if (config_.bottleneck) unit(modules, net + "0", net + "1", 1, 1);
    const std::string conv = config_.bottleneck ? "3" : "0", norm = config_.bottleneck ? "4" : "1";
    unit(modules, net + conv, net + norm, 3, stride);
    return sequential(modules);
  }

  void layer(const std::string& at, const LayerScales& layer) {
    Writes scales;
    for (std::int64_t j = 0; j < layer.out; ++j) {
      const std::string scale = at + "layers." + std::to_string(j) + ".";
      Writes branches = {plain("nn.Identity")};
      if (j > 0 || layer.in > layer.out) branches.push_back(branch(scale + "conv_down.net.", 2));
      branches.push_back(branch(scale + "conv_normal.net.", 1));
      scales.push_back(
          sequential({[=, this] { container("nn.ParallelTable", branches); },
                      plain("nn.JoinTable", {{"dimension", number("dimension", 2)}})}));
    }
    container("nn.MSDNet_Layer", scales);
  }

  void transition(const std::string& at, const LayerScales& layer) {
    Writes scales;
    for (std::int64_t j = 0; j < layer.out; ++j) {
      Writes modules;
      const std::string net = at + "m." + std::to_string(j) + ".net.";
      unit(modules, net + "0", net + "1", 1, 1);
      scales.push_back(sequential(modules));
    }
    container("nn.ParallelTable", scales);
  }

  void classifier(const std::string& at) {
    Writes modules;
    for (const char* m : {"m.0.net.", "m.1.net."}) {
      unit(modules, at + m + "0", at + m + "1", 3, 2);
    }
    modules.push_back(plain("cudnn.SpatialAveragePooling",
                            {{"kW", number("average", 2)}, {"kH", number("average", 2)}}));
    modules.push_back(plain("nn.Reshape"));
    modules.push_back(plain("nn.Linear", {{"weight", named(at + "linear.weight")},
                                          {"bias", named(at + "linear.bias")}}));
    container("nn.Sequential", modules);
  }

  void network() {
    Writes modules;
    const std::vector<LayerScales> layers = layer_scales(config_);
    auto next = layers.begin();
    for (std::int64_t b = 0; b < config_.blocks; ++b) {
      Writes block;
      if (b == 0) block.push_back([this] { stem(); });
      for (std::int64_t i = 0; i < config_.block_layers(b); ++i, ++next) {
        const auto at = [&] {
          return "blocks." + std::to_string(b) + "." + std::to_string(block.size()) + ".";
        };
        block.push_back([this, name = at(), scales = *next] { layer(name, scales); });
        if (!next->transition) continue;
        block.push_back([this, name = at(), scales = *next] { transition(name, scales); });
      }
      modules.push_back(sequential(block));
    }
    for (std::int64_t b = 0; b < config_.blocks; ++b) {
      modules.push_back([this, b] { classifier("classifier." + std::to_string(b) + "."); });
    }
    container("nn.JointTrainModule", modules);
  }

  const MsdnetConfig& config_;
  const Tensors& state_;
  const Torch7Style& style_;
  Torch7Writer w_;
  std::vector<float> flat_;
  std::map<std::string, std::int64_t> offsets_;
  std::map<std::string, std::int32_t> written_;  // tensors' indices
  std::int32_t storage_ = 0;
};

}  // namespace

std::vector<std::byte> torch7_network(const MsdnetConfig& config, const Tensors& state,
                                      const Torch7Style& style) {
  return NetworkWriter(config, state, style).run();
}

Tensors torch7_round_trip(const MsdnetConfig& config, const Tensors& state,
                          const Torch7Style& style) {
  return torch7_state(Torch7File(torch7_network(config, state, style)).root());
}

}  // namespace msd::test
