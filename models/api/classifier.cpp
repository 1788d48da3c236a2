// SPDX-License-Identifier: MIT
#include "msd/classifier.h"

#include <array>
#include <map>
#include <utility>

#include "data/image_file.h"
#include "data/image_resize.h"
#include "kernels/check.h"
#include "models/exits/exit_decision.h"
#include "models/exits/thresholds_file.h"
#include "models/inference/early_exit.h"
#include "models/network/cost.h"
#include "models/weights/checkpoint.h"

namespace msd {
namespace {

DType parameter_type(Precision precision) {
  switch (precision) {
    case Precision::fp64:
      return DType::f64;
    case Precision::fp32:
    case Precision::tf32:
    case Precision::bf16:
      break;
  }
  return DType::f32;
}

DType activation_type(Precision precision) {
  return precision == Precision::bf16 ? DType::bf16 : parameter_type(precision);
}

std::unique_ptr<Runtime> runtime_for(const ClassifierOptions& options) {
  const DeviceSpec device = parse_device(options.device);
  const bool of_gpu = options.precision == Precision::tf32 || options.precision == Precision::bf16;
  if (device.type == DeviceType::cpu && of_gpu) {
    throw ConfigError("tf32 and bf16 need the device cuda; the CPU has fp32 and fp64");
  }
  if (device.type == DeviceType::cuda && options.precision == Precision::fp64) {
    throw ConfigError("fp64 is for the device cpu; a GPU has fp32, tf32 and bf16");
  }
  auto runtime = std::make_unique<Runtime>(options.threads, device);
  runtime->set_allow_tf32(options.precision == Precision::tf32);
  return runtime;
}

std::array<double, 3> doubles(const std::array<float, 3>& values) {
  return {values[0], values[1], values[2]};
}

DataDescription data_of(const Checkpoint& checkpoint, const MsdnetConfig& config,
                        const ClassifierOptions& options) {
  PreprocessingHints hints;
  if (options.normalization) {
    hints.set_normalization(doubles(options.normalization->mean),
                            doubles(options.normalization->deviation));
  }
  if (options.fit) {
    if (options.fit->resize != 0) hints.resize = options.fit->resize;
    if (options.fit->crop != 0) hints.crop = options.fit->crop;
    hints.interpolation = options.fit->interpolation;
  }
  DataDescription data = checkpoint.data.value_or(DataDescription{});
  if (!checkpoint.data) data.preprocessing = usual_preprocessing(config);
  data.preprocessing = with_hints(data.preprocessing, hints, config);
  if (!options.class_names.empty()) data.class_names = options.class_names;
  if (!options.class_names.empty() && std::ssize(options.class_names) != config.classes) {
    throw ConfigError(message("ClassifierOptions::class_names has ", options.class_names.size(),
                              " names, and the network ", config.classes, " classes"));
  }
  return data;
}

Network network_of(Runtime& runtime, const Checkpoint& checkpoint, DType dtype) {
  Network network(checkpoint.config ? *checkpoint.config : deduce_config(checkpoint).config,
                  runtime.allocator(), dtype);
  checkpoint.load_weights(network);
  return network;
}

}  // namespace

struct Classifier::State {
  /// A plan for some exits, and what runs it.
  struct Prepared {
    Prepared(State& state, std::vector<std::int64_t> exits)
        : plan(*state.runtime, state.network, std::move(exits), state.activations),
          classifier(*state.runtime, plan, state.data) {}

    Plan plan;
    EarlyExit classifier;
  };

  State(const Checkpoint& checkpoint, const ClassifierOptions& options)
      : runtime(runtime_for(options)),
        network(network_of(*runtime, checkpoint, parameter_type(options.precision))),
        data(data_of(checkpoint, network.config(), options)),
        normalization_known(checkpoint.data || options.normalization),
        activations(activation_type(options.precision)),
        costs(exit_costs(network.architecture())) {
    if (options.thresholds_file.empty()) return;
    thresholds = read_thresholds(options.thresholds_file);
    require_same_model(*thresholds, options.thresholds_file, checkpoint.fingerprint,
                       network.config(), checkpoint.path);
  }

  EarlyExit& classifier_for(const ExitRule& rule) {
    std::vector<std::int64_t> exits = exits_that_run(rule, network.config().blocks);
    std::unique_ptr<Prepared>& found = prepared[exits];
    if (found == nullptr) found = std::make_unique<Prepared>(*this, std::move(exits));
    return found->classifier;
  }

  std::string class_name(std::int32_t label) const {
    const auto i = static_cast<std::size_t>(label);
    return i < data.class_names.size() ? data.class_names[i] : std::to_string(label);
  }

  Answer answer(const Outcome& outcome) const {
    Answer answer;
    answer.exit = outcome.exit + 1;
    answer.label = outcome.answer.prediction;
    answer.class_name = class_name(answer.label);
    answer.confidence = outcome.answer.confidence;
    for (const ClassProbability& c : outcome.classes) {
      answer.classes.push_back({c.index, class_name(c.index), c.probability});
    }
    answer.mul_adds = outcome.mul_adds;
    answer.microseconds = outcome.microseconds;
    return answer;
  }

  /// `fitted`: of the size of the input.
  Answer classify(const Image& fitted, const ExitRule& rule) {
    const Classification found = classifier_for(rule).classify(fitted.pixels.data(), rule);
    Answer said = answer(found.final);
    for (const Outcome& outcome : found.exits) said.exits.push_back(answer(outcome));
    return said;
  }

  const ThresholdsFile& require_thresholds() const {
    if (thresholds) return *thresholds;
    throw ConfigError("a rule for a budget or p needs ClassifierOptions::thresholds_file");
  }

  const ExitCost& cost(std::int64_t exit) const {
    if (exit >= 1 && exit <= std::ssize(costs)) return costs[static_cast<std::size_t>(exit - 1)];
    throw ConfigError(message("exit ", exit, ": the network has exits 1 to ", costs.size()));
  }

  std::unique_ptr<Runtime> runtime;
  Network network;
  DataDescription data;
  bool normalization_known;
  DType activations;
  std::vector<ExitCost> costs;
  std::optional<ThresholdsFile> thresholds;
  std::map<std::vector<std::int64_t>, std::unique_ptr<Prepared>> prepared;  // by their exits
};

Normalization normalization_of(const std::string& name) {
  if (find_normalization(name) == nullptr) {
    throw ConfigError("no normalization is called " + name + "; use imagenet, cifar10 or cifar100");
  }
  PreprocessingHints hints;
  hints.set_normalization(name);
  return {*hints.mean, *hints.std};
}

Classifier::Classifier(const std::string& weights, const ClassifierOptions& options)
    : state_(std::make_unique<State>(read_checkpoint(weights), options)) {}

Classifier::Classifier(Classifier&&) noexcept = default;
Classifier& Classifier::operator=(Classifier&&) noexcept = default;
Classifier::~Classifier() = default;

Answer Classifier::classify(std::span<const std::uint8_t> rgb, std::int64_t height,
                            std::int64_t width, const ExitRule& rule) {
  // Divided, as a product may be too large for its type.
  const auto rows = static_cast<std::int64_t>(rgb.size()) / 3;
  if (height < 1 || width < 1 || rgb.size() % 3 != 0 || rows % width != 0 ||
      rows / width != height) {
    throw ShapeError(message("an image of ", height, " x ", width, " pixels of 3 bytes in ",
                             rgb.size(),
                             " bytes; it has 3 * height * width, and at least 1 pixel"));
  }
  const Image image = {height, width, {rgb.begin(), rgb.end()}};
  return state_->classify(fit_to(image, state_->data.preprocessing.fit), rule);
}

Answer Classifier::classify_file(const std::string& path, const ExitRule& rule) {
  return state_->classify(load_fitted(path, state_->data.preprocessing.fit), rule);
}

void Classifier::prepare(const ExitRule& rule) { state_->classifier_for(rule).prepare(rule); }

ExitRule Classifier::rule_for_budget(double mul_adds) const {
  return point_for_budget(state_->require_thresholds(), mul_adds).thresholds;
}

ExitRule Classifier::rule_for_p(double p) const {
  return point_for_p(state_->require_thresholds(), p).thresholds;
}

std::int64_t Classifier::exits() const { return state_->network.config().blocks; }
std::int64_t Classifier::classes() const { return state_->network.config().classes; }
const std::vector<std::string>& Classifier::class_names() const { return state_->data.class_names; }
ImageFit Classifier::fit() const { return state_->data.preprocessing.fit; }
Normalization Classifier::normalization() const {
  return {state_->data.preprocessing.mean, state_->data.preprocessing.std};
}
bool Classifier::is_normalization_known() const { return state_->normalization_known; }
std::int64_t Classifier::image_size() const { return state_->network.config().image_size; }

std::int64_t Classifier::mul_adds(std::int64_t exit) const {
  return state_->cost(exit).mul_adds_lazy;
}

std::int64_t Classifier::mul_adds_alone(std::int64_t exit) const {
  return state_->cost(exit).mul_adds_direct;
}

}  // namespace msd
