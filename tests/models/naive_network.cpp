// SPDX-License-Identifier: MIT
#include "tests/models/naive_network.h"

#include <algorithm>
#include <cmath>

namespace msd::test {
namespace {

using std::int64_t;

class Expansion {
 public:
  Expansion(const MsdnetConfig& config, NaiveNetwork& net) : c_(config), net_(net) {}

  void run() {
    total_layers_ = 0;
    for (int64_t b = 0; b < c_.blocks; ++b) total_layers_ += layers_of(b);
    stem();
    int64_t layer = 0, width = c_.init_channels;
    for (int64_t b = 0; b < c_.blocks; ++b) {
      int64_t module = b == 0 ? 1 : 0;
      for (int64_t i = 0; i < layers_of(b); ++i) {
        ++layer;
        add_layer(b, module++, layer, width);
        width += c_.growth_rate;
        if (!has_transition(layer)) continue;
        const auto reduced =
            static_cast<int64_t>(std::floor(c_.reduction * static_cast<double>(width)));
        for (int64_t s = scales() - out_scales(layer); s < scales(); ++s) {
          const std::string at = "blocks." + num(b) + "." + num(module) + ".m." +
                                 num(s - (scales() - out_scales(layer))) + ".net.";
          conv(at + "0", at + "1", width * gr(s), reduced * gr(s), 1, size(s));
        }
        ++module;
        width = reduced;
      }
      classifier(b, width * gr(scales() - 1));
      net_.exits.push_back(now_);
    }
  }

 private:
  static std::string num(int64_t i) { return std::to_string(i); }
  int64_t scales() const { return static_cast<int64_t>(c_.growth_factors.size()); }
  int64_t gr(int64_t s) const { return c_.growth_factors[static_cast<std::size_t>(s)]; }
  int64_t size(int64_t s) const { return sizes_[static_cast<std::size_t>(s)]; }
  int64_t layers_of(int64_t block) const {
    if (block == 0) return c_.base;
    return c_.step_mode == StepMode::even ? c_.step : c_.step * block + 1;
  }
  int64_t interval() const { return (total_layers_ + scales() - 1) / scales(); }
  int64_t in_scales(int64_t l) const {
    if (c_.prune == PruneMode::min) return std::min(scales(), total_layers_ - l + 2);
    return scales() - std::max<int64_t>(0, l - 2) / interval();
  }
  int64_t out_scales(int64_t l) const {
    if (c_.prune == PruneMode::min) return std::min(scales(), total_layers_ - l + 1);
    return scales() - (l - 1) / interval();
  }
  bool has_transition(int64_t l) const {
    if (c_.reduction == 0) return false;
    if (c_.prune == PruneMode::min) return l == total_layers_ / 3 || l == 2 * total_layers_ / 3;
    return in_scales(l) > out_scales(l);
  }

  void batch_norm(const std::string& name, int64_t channels) {
    for (const char* leaf : {".weight", ".bias", ".running_mean", ".running_var"}) {
      net_.state[name + leaf] = {channels};
    }
    net_.state[name + ".num_batches_tracked"] = {};
    now_.params += 2 * channels;
  }

  // A convolution to out x out positions, its batch norm and its ReLU.
  void conv(const std::string& name, const std::string& norm, int64_t cin, int64_t cout,
            int64_t kernel, int64_t out) {
    net_.state[name + ".weight"] = {cout, cin, kernel, kernel};
    const int64_t mul_adds = out * out * kernel * kernel * cin * cout;
    now_.mul_adds += mul_adds;
    now_.ops += mul_adds + out * out * cout;
    now_.params += kernel * kernel * cin * cout;
    batch_norm(norm, cout);
  }

  static int64_t halved(int64_t size) { return (size + 1) / 2; }  // by a 3x3 of stride 2, padding 1

  void stem() {
    int64_t at = c_.image_size, channels = 3;
    for (int64_t s = 0; s < scales(); ++s) {
      const int64_t width = c_.init_channels * gr(s);
      const std::string name = "blocks.0.0.layers." + num(s) + ".";
      if (s == 0 && c_.input_kind == InputKind::imagenet) {
        const int64_t out = (at + 6 - 7) / 2 + 1;
        conv(name + "0", name + "1", 3, width, 7, out);
        net_.state[name + "0.bias"] = {width};
        now_.params += width;
        at = halved(out);
        now_.ops += 9 * at * at * width;  // max pool
      } else {
        const int64_t out = s == 0 ? at : halved(at);
        conv(name + "net.0", name + "net.1", channels, width, 3, out);
        at = out;
      }
      sizes_.push_back(at);
      channels = width;
    }
  }

  void branch(const std::string& name, int64_t from, int64_t to, int64_t cin, int64_t k) {
    if (!c_.bottleneck) {
      conv(name + "0", name + "1", cin, k, 3, size(to));
      return;
    }
    const int64_t mid = std::min(cin, c_.bottleneck_factors[static_cast<std::size_t>(from)] * k);
    conv(name + "0", name + "1", cin, mid, 1, size(from));
    conv(name + "3", name + "4", mid, k, 3, size(to));
  }

  void add_layer(int64_t b, int64_t module, int64_t l, int64_t width) {
    const int64_t finest_in = scales() - in_scales(l), finest_out = scales() - out_scales(l);
    for (int64_t s = finest_out; s < scales(); ++s) {
      const std::string at =
          "blocks." + num(b) + "." + num(module) + ".layers." + num(s - finest_out) + ".";
      const int64_t channels = c_.growth_rate * gr(s);
      if (s == finest_in) {
        branch(at + "conv_normal.net.", s, s, width * gr(s), channels);
      } else {
        branch(at + "conv_down.net.", s - 1, s, width * gr(s - 1), channels / 2);
        branch(at + "conv_normal.net.", s, s, width * gr(s), channels / 2);
      }
    }
  }

  void classifier(int64_t b, int64_t cin) {
    const int64_t mid = c_.input_kind == InputKind::cifar ? 128 : cin;
    const std::string at = "classifier." + num(b) + ".";
    const int64_t first = halved(size(scales() - 1)), second = halved(first);
    conv(at + "m.0.net.0", at + "m.0.net.1", cin, mid, 3, first);
    conv(at + "m.1.net.0", at + "m.1.net.1", mid, mid, 3, second);
    now_.ops += second * second * mid;  // average pool over everything to one position
    net_.state[at + "linear.weight"] = {c_.classes, mid};
    net_.state[at + "linear.bias"] = {c_.classes};
    now_.mul_adds += mid * c_.classes;
    now_.ops += (mid + 1) * c_.classes;
    now_.params += (mid + 1) * c_.classes;
  }

  const MsdnetConfig& c_;
  NaiveNetwork& net_;
  int64_t total_layers_ = 0;
  std::vector<int64_t> sizes_;  // of the maps of each scale
  NaiveNetwork::Totals now_;
};

}  // namespace

NaiveNetwork::NaiveNetwork(const MsdnetConfig& config) { Expansion(config, *this).run(); }

MsdnetConfig random_config(RandomStream& random) {
  const auto from = [&](auto... values) {
    const std::vector<int64_t> all = {values...};
    return all[static_cast<std::size_t>(random.below(static_cast<int64_t>(all.size())))];
  };
  MsdnetConfig c;
  c.blocks = from(1, 2, 3, 4);
  c.step_mode = from(0, 1) == 0 ? StepMode::even : StepMode::lin_grow;
  c.step = from(1, 1, 2, 3);
  c.base = from(1, 2, 4);
  c.init_channels = from(1, 2, 3, 5, 8);
  c.growth_rate = from(1, 2, 3, 4, 6);
  c.growth_factors.clear();
  c.bottleneck_factors.clear();
  for (int64_t s = from(1, 2, 3, 3, 4); s > 0; --s) {
    // New channels of all scales but the finest are halved.
    const bool halve = !c.growth_factors.empty() && c.growth_rate % 2 != 0;
    c.growth_factors.push_back(halve ? from(2, 4) : from(1, 2, 3, 4));
    c.bottleneck_factors.push_back(from(1, 2, 3, 4));
  }
  c.bottleneck = from(0, 1, 1) == 1;
  c.prune = from(0, 1) == 0 ? PruneMode::max : PruneMode::min;
  c.reduction = static_cast<double>(from(0, 3, 5, 5, 7, 10)) / 10.0;
  c.classes = from(1, 3, 10);
  c.input_kind = from(0, 1) == 0 ? InputKind::cifar : InputKind::imagenet;
  c.image_size = from(24, 32, 45, 64, 100);
  return c;
}

}  // namespace msd::test
