// SPDX-License-Identifier: MIT
#include "models/network/architecture.h"

#include <algorithm>
#include <cmath>

#include "kernels/check.h"

namespace msd {
namespace {

constexpr std::int64_t kCifarClassifierChannels = 128;

class Builder {
 public:
  explicit Builder(const MsdnetConfig& config) : config_(config) { net_.config = config; }

  Architecture build() {
    config_.check();
    stem();
    const std::vector<LayerScales> scales_of = layer_scales(config_);
    auto layer = scales_of.begin();
    for (block_ = 0; block_ < config_.blocks; ++block_) {
      if (block_ > 0) module_ = 0;
      for (std::int64_t i = 0; i < config_.block_layers(block_); ++i, ++layer) {
        add_layer(*layer);
        if (layer->transition) add_transition(*layer);
      }
      classifier();
    }
    return std::move(net_);
  }

 private:
  std::int64_t scales() const { return config_.scales(); }
  std::int64_t factor(std::int64_t scale) const {
    return config_.growth_factors[static_cast<std::size_t>(scale)];
  }

  FeatureBuffer& buffer(std::int32_t id) { return net_.buffers[static_cast<std::size_t>(id)]; }
  // The features of a scale so far.
  Feature& current(std::int64_t scale) { return features_[static_cast<std::size_t>(scale)]; }

  Feature new_buffer(std::int64_t size, std::int64_t channels) {
    net_.buffers.push_back({size, channels});
    return {static_cast<std::int32_t>(net_.buffers.size()) - 1, 0, channels};
  }

  // Appends `channels` to the buffer of `scale`; its readers see them once the layer is complete.
  Feature append(std::int64_t scale, std::int64_t channels) {
    FeatureBuffer& target = buffer(current(scale).buffer);
    const Feature slice = {current(scale).buffer, target.channels, channels};
    target.channels += channels;
    return slice;
  }

  void add(Operation::Kind kind, const std::string& name, Feature input, Feature output) {
    Operation op;
    op.kind = std::move(kind);
    op.name = name;
    op.input = input;
    op.output = output;
    op.block = block_;
    op.group = group_;
    net_.operations.push_back(std::move(op));
  }

  std::int64_t conv_out_size(Feature input, std::int64_t kernel, std::int64_t stride) {
    const std::int64_t size = buffer(input.buffer).size;
    const std::int64_t out = (size + 2 * (kernel / 2) - kernel) / stride + 1;
    if (stride > 1 && size < 2) {
      throw ConfigError(message("--image-size ", config_.image_size, " is too small for ", scales(),
                                " scales: a map of ", size, "x", size, " would have to be halved"));
    }
    return out;
  }

  void conv(const std::string& conv_name, const std::string& batchnorm_name, Feature input,
            Feature output, std::int64_t kernel, std::int64_t stride, bool has_bias = false) {
    const ConvGeometry geometry = {input.channels, output.channels, kernel, stride, kernel / 2};
    add(Convolution{geometry, has_bias, batchnorm_name}, conv_name, input, output);
  }

  void stem() {
    const std::string prefix = "blocks.0.0.layers.";
    Feature from = new_buffer(config_.image_size, 3);
    for (std::int64_t scale = 0; scale < scales(); ++scale, ++group_) {
      const bool imagenet_first = scale == 0 && config_.input_kind == InputKind::imagenet;
      const std::int64_t stride = scale == 0 && !imagenet_first ? 1 : 2;
      const std::int64_t kernel = imagenet_first ? 7 : 3;
      const std::string at = prefix + std::to_string(scale) + (imagenet_first ? "." : ".net.");
      Feature to =
          new_buffer(conv_out_size(from, kernel, stride), config_.init_channels * factor(scale));
      conv(at + "0", at + "1", from, to, kernel, stride, imagenet_first);
      if (imagenet_first) {
        ++group_;
        const Feature pooled = new_buffer(conv_out_size(to, 3, 2), to.channels);
        add(MaxPool{{3, 2, 1}}, "", to, pooled);
        to = pooled;
      }
      features_.push_back(to);
      from = to;
    }
    width_ = config_.init_channels;
    module_ = 1;
  }

  // One branch of a layer, from `input`, whose scale is `from`, to k channels at `scale`.
  struct Branch {
    std::string name;
    Feature input, output;
    std::int64_t from, k, stride;
  };

  void add_layer(const LayerScales& layer) {
    const std::int64_t first_in = scales() - layer.in;
    const std::int64_t first_out = scales() - layer.out;
    std::vector<Branch> branches;
    for (std::int64_t scale = first_out; scale < scales(); ++scale) {
      const std::string at = "blocks." + std::to_string(block_) + "." + std::to_string(module_) +
                             ".layers." + std::to_string(scale - first_out) + ".";
      const bool has_finer = scale > first_in;
      const std::int64_t channels = config_.growth_rate * factor(scale);
      if (has_finer && channels % 2 != 0) {
        throw ConfigError(message("--growth-rate ", config_.growth_rate, " x growth factor ",
                                  factor(scale), " of scale ", scale, " is odd: its two branches ",
                                  "get half of the new channels each"));
      }
      const std::int64_t k = has_finer ? channels / 2 : channels;
      if (has_finer) {
        branches.push_back(
            {at + "conv_down.net.", current(scale - 1), append(scale, k), scale - 1, k, 2});
      }
      branches.push_back({at + "conv_normal.net.", current(scale), append(scale, k), scale, k, 1});
    }
    if (config_.bottleneck) {
      for (Branch& b : branches) {
        const std::int64_t mid = std::min(
            b.input.channels, config_.bottleneck_factors[static_cast<std::size_t>(b.from)] * b.k);
        const Feature reduced = new_buffer(buffer(b.input.buffer).size, mid);
        conv(b.name + "0", b.name + "1", b.input, reduced, 1, 1);
        b.input = reduced;
      }
      ++group_;
    }
    const std::string_view last_conv = config_.bottleneck ? "3" : "0";
    const std::string_view last_norm = config_.bottleneck ? "4" : "1";
    for (const Branch& b : branches) {
      conv_out_size(b.input, 3, b.stride);
      conv(b.name + std::string(last_conv), b.name + std::string(last_norm), b.input, b.output, 3,
           b.stride);
    }
    ++group_;
    ++module_;
    width_ += config_.growth_rate;
    for (std::int64_t scale = first_out; scale < scales(); ++scale) {
      current(scale).channels = buffer(current(scale).buffer).channels;
    }
  }

  void add_transition(const LayerScales& layer) {
    width_ = static_cast<std::int64_t>(std::floor(config_.reduction * static_cast<double>(width_)));
    if (width_ < 1) {
      throw ConfigError(message("--reduction ", config_.reduction,
                                " leaves no channel in a transition; raise it or use 0"));
    }
    const std::int64_t first = scales() - layer.out;
    for (std::int64_t scale = first; scale < scales(); ++scale) {
      const std::string at = "blocks." + std::to_string(block_) + "." + std::to_string(module_) +
                             ".m." + std::to_string(scale - first) + ".net.";
      const Feature to = new_buffer(buffer(current(scale).buffer).size, width_ * factor(scale));
      conv(at + "0", at + "1", current(scale), to, 1, 1);
      current(scale) = to;
    }
    ++group_;
    ++module_;
  }

  void classifier() {
    const std::string at = "classifier." + std::to_string(block_) + ".";
    const std::size_t first_op = net_.operations.size();
    Feature from = current(scales() - 1);
    for (int i = 0; i < 2; ++i, ++group_) {
      const std::int64_t channels = config_.input_kind == InputKind::cifar
                                        ? kCifarClassifierChannels
                                        : current(scales() - 1).channels;
      // A map of 1x1 stays one.
      const Feature to = new_buffer(ceil_div(buffer(from.buffer).size, 2), channels);
      const std::string net = at + "m." + std::to_string(i) + ".net.";
      conv(net + "0", net + "1", from, to, 3, 2);
      from = to;
    }
    const Feature pooled = new_buffer(1, from.channels);
    add(GlobalAveragePool{}, "", from, pooled);
    ++group_;
    const Feature logits = new_buffer(1, config_.classes);
    add(Linear{}, at + "linear", pooled, logits);
    ++group_;
    net_.logits.push_back(logits);
    for (std::size_t i = first_op; i < net_.operations.size(); ++i) {
      net_.operations[i].is_classifier = true;
    }
  }

  const MsdnetConfig config_;
  Architecture net_;
  std::vector<Feature> features_;  // a scale
  std::int64_t width_ = 0;         // of every scale, in units of its growth factor
  std::int64_t block_ = 0, module_ = 0, group_ = 0;
};

// Sizes that would overflow in the sums of costs and parameters, which are below 64 times this.
void check_size(const Architecture& net) {
  constexpr double kMostMulAdds = 1e17;
  double total = 0.0;
  for (const Operation& op : net.operations) {
    const auto size =
        static_cast<double>(net.buffers[static_cast<std::size_t>(op.output.buffer)].size);
    const auto kernel = static_cast<double>(visit(
        op, [](const Convolution& c) { return c.geometry.kernel; },
        [](const MaxPool& p) { return p.geometry.kernel; },
        [](const GlobalAveragePool&) { return std::int64_t{1}; },
        [](const Linear&) { return std::int64_t{1}; }));
    total += size * size * kernel * kernel * static_cast<double>(op.output.channels) *
             static_cast<double>(op.input.channels);
  }
  if (total > kMostMulAdds) {
    throw ConfigError(message("the network would take ", total, " mul-adds an image; at most ",
                              kMostMulAdds, " can be counted"));
  }
}

}  // namespace

std::vector<LayerScales> layer_scales(const MsdnetConfig& config) {
  const std::int64_t scales = config.scales(), total = config.layers();
  const std::int64_t interval = ceil_div(total, scales);
  std::vector<LayerScales> layers;
  for (std::int64_t l = 1; l <= total; ++l) {
    LayerScales layer;
    if (config.prune == PruneMode::max) {
      layer.in = scales - std::max<std::int64_t>(0, l - 2) / interval;
      layer.out = scales - (l - 1) / interval;
      layer.transition = layer.out < layer.in;
    } else {
      layer.in = std::min(scales, total - l + 2);
      layer.out = std::min(scales, total - l + 1);
      layer.transition = l == total / 3 || l == 2 * total / 3;
    }
    if (config.reduction == 0) layer.transition = false;
    layers.push_back(layer);
  }
  return layers;
}

Architecture make_architecture(const MsdnetConfig& config) {
  Architecture net = Builder(config).build();
  check_size(net);
  return net;
}

}  // namespace msd
