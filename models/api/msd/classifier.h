// SPDX-License-Identifier: MIT
// The library's face: an image, a rule, an answer.
//
//   msd::Classifier classifier("checkpoint-best.safetensors");
//   const msd::Answer answer = classifier.classify_file("cat.jpg", msd::Threshold{0.8f});
//
// Everything throws an msd::Error (msd/error.h) or std::bad_alloc, and prints nothing.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "msd/error.h"
#include "msd/exit_rule.h"
#include "msd/image_fit.h"

namespace msd {

/// Types of weights, activations and products. fp64: on the CPU only. tf32 and bf16: on a GPU only,
/// fp32 whose products may round their factors to tf32; fp32 weights with bf16 activations.
enum class Precision : std::uint8_t { fp32, fp64, tf32, bf16 };

/// Mean and standard deviation of the training images, per channel (red, green, blue): all six in
/// grey levels 0 to 255, or all as shares of 255 (at most 1), as torchvision has them.
struct Normalization {
  std::array<float, 3> mean, deviation;
};
/// What the public implementations have for "imagenet", "cifar10" or "cifar100". Throws ConfigError
/// for any other name.
Normalization normalization_of(const std::string& name);

/// Where and how a classifier computes, and what its weights' file does not say.
struct ClassifierOptions {
  std::string device = "cpu";  // or "cuda", "cuda:1"
  int threads = 1;             // of the CPU; 0: one a core
  Precision precision = Precision::fp32;
  /// Of msd-eval --mode budget for these weights, for rule_for_budget and rule_for_p.
  std::string thresholds_file = {};
  // These go over what the weights' file says. Weights that are not of msd-train say nothing:
  // without these they get what is usual for their kind, ImageNet's or CIFAR's, and no names.
  std::optional<Normalization> normalization = {};
  /// How images of any size become the input: the shorter side resized (ImageNet's: 256 for 224),
  /// then the middle taken, of the network's size. A 0 leaves the one or the other as it is.
  std::optional<ImageFit> fit = {};
  /// One a class, in the network's order.
  std::vector<std::string> class_names = {};
};

/// A class, and how probable an exit takes it to be.
struct LikelyClass {
  std::int32_t label = -1;  // from 0
  std::string name;         // its number where the weights' file names no classes
  double probability = 0.0;
};

/// What the network says of an image, where, and at what cost.
struct Answer {
  std::int64_t exit = 0;    // that answered, from 1
  std::int32_t label = -1;  // the likeliest class, from 0
  std::string class_name;
  float confidence = 0.0f;           // its probability by this exit's softmax
  std::vector<LikelyClass> classes;  // the five likeliest, or all of fewer, by falling probability
  std::int64_t mul_adds = 0;         // of convolutions and linear layers, executed for this image
  double microseconds = 0.0;         // since the image was there in the network's size
  std::vector<Answer> exits;         // under EveryExit: of every exit, the last one too
};

/// A network with its weights, ready for images one by one. It owns all it works with: device
/// memory, threads, packed weights. One thread at a time may use it; several, each of a thread, do
/// not disturb one another. The same image, weights, precision and device give the same bits in
/// any number of threads. One that was moved from is to be assigned to or destroyed only.
class Classifier {
 public:
  /// Reads the weights: a checkpoint of msd-train, safetensors, PyTorch's or Torch7's. Throws
  /// IoError, FormatError naming the file and what is wrong with it, or ConfigError where they are
  /// no MSDNet's or the options cannot be met.
  explicit Classifier(const std::string& weights, const ClassifierOptions& options = {});
  Classifier(Classifier&&) noexcept;
  Classifier& operator=(Classifier&&) noexcept;
  ~Classifier();

  /// An image of any size: rows from the top, red, green, blue, 3 * height * width bytes without
  /// gaps, which are only read. It is resized and the middle of it taken as fit() says. Throws
  /// ShapeError where there is no pixel, too many, or the bytes are not as many, and ConfigError
  /// for a rule that makes no sense for this network. At most 100 megapixels, also once resized.
  Answer classify(std::span<const std::uint8_t> rgb, std::int64_t height, std::int64_t width,
                  const ExitRule& rule = LastExit{});
  /// A JPEG, PNG, WebP, BMP, GIF, PNM or TGA file. Throws IoError and FormatError naming it, too.
  Answer classify_file(const std::string& path, const ExitRule& rule = LastExit{});

  /// Does now what the first image under such a rule would otherwise wait for: a plan for a
  /// FixedExit without the classifiers before it, a few passes that tell a Deadline how long exits
  /// take.
  void prepare(const ExitRule& rule);

  /// The thresholds that spend most of `mul_adds`, in the mean of many images, and those fitted for
  /// p (1: as many images leave at each exit). Throws ConfigError where there is no thresholds_file
  /// or nothing in it fits.
  ExitRule rule_for_budget(double mul_adds) const;
  ExitRule rule_for_p(double p) const;

  std::int64_t exits() const;
  std::int64_t classes() const;
  /// One a class, or none where the weights' file names none.
  const std::vector<std::string>& class_names() const;
  /// Height and width of the network's input.
  std::int64_t image_size() const;
  /// How images are brought to it and normalised (in grey levels), and whether that was said by the
  /// weights' file or the options; otherwise it is what is usual for the network's kind.
  ImageFit fit() const;
  Normalization normalization() const;
  bool is_normalization_known() const;
  /// What an image costs that leaves at `exit`, from 1 to exits(), having passed those before it;
  /// and what FixedExit{exit} costs. Throws ConfigError for any other.
  std::int64_t mul_adds(std::int64_t exit) const;
  std::int64_t mul_adds_alone(std::int64_t exit) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace msd
