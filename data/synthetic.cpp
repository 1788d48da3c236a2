// SPDX-License-Identifier: MIT
// Compiled with -ffp-contract=off and free of libm's inexact functions, so that the bytes do not
// depend on the machine: only + - * / sqrt on doubles, which IEEE 754 defines to the last bit.
#include "data/synthetic.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/random.h"
#include "kernels/check.h"
#include "kernels/cpu/device/thread_pool.h"

namespace msd {
namespace {

constexpr int kSize = 32;  // pixels a side
constexpr int kClasses = 10;
constexpr int kTurn = 256;  // directions in a full turn

struct Vec {
  double x = 0.0, y = 0.0;
};
struct Color {
  double r = 0.0, g = 0.0, b = 0.0;
};
using Canvas = std::array<Color, kSize * kSize>;

enum class Kind { disc, ring, square, frame, triangle, star, cross, tee, two_bars, three_bars };

/// Unit vectors (cos, sin) of angles i / 256 of a turn.
constexpr std::array<Vec, kTurn> make_directions() {
  constexpr double kCos = 0.99969881869620422, kSin = 0.024541228522912288;  // of 1/256 turn
  std::array<Vec, kTurn> directions{};
  Vec v{1.0, 0.0};
  for (Vec& direction : directions) {
    direction = v;
    v = {v.x * kCos - v.y * kSin, v.x * kSin + v.y * kCos};
  }
  return directions;
}
constexpr std::array<Vec, kTurn> kDirections = make_directions();

double box(Vec p, double half_x, double half_y) {
  const double x = std::abs(p.x) - half_x, y = std::abs(p.y) - half_y;
  if (x > 0.0 && y > 0.0) return std::sqrt(x * x + y * y);
  return std::max(x, y);
}

double star(Vec p) {
  // Mirrored into the 36 degrees beside one tip, the outline is one line: tip to inner corner.
  constexpr double kCos36 = 0.80901699437494745, kSin36 = 0.58778525229247314, kInner = 0.45;
  p.y = std::abs(p.y);
  for (int i = 0; i < 2; ++i) {
    const double beyond = std::max(0.0, p.y * kCos36 - p.x * kSin36);
    p.x += 2.0 * beyond * kSin36;
    p.y = std::abs(p.y - 2.0 * beyond * kCos36);
  }
  const Vec edge{kInner * kCos36 - 1.0, kInner * kSin36};
  return (edge.y * (p.x - 1.0) - edge.x * p.y) / std::sqrt(edge.x * edge.x + edge.y * edge.y);
}

/// Distance of p to the outline of a shape of radius 1, negative inside; near enough for an edge a
/// pixel wide. detail: how thin the parts that tell a pair apart are, 0 (bold) to 1 (fine).
double distance(Kind kind, Vec p, double detail) {
  switch (kind) {
    case Kind::disc:
      return std::sqrt(p.x * p.x + p.y * p.y) - 0.95;
    case Kind::ring: {
      const double radius = std::sqrt(p.x * p.x + p.y * p.y);
      return std::max(radius - 0.95, 0.55 - 0.2 * detail - radius);
    }
    case Kind::square:
      return box(p, 0.82, 0.82);
    case Kind::frame: {
      const double hole = 0.48 - 0.18 * detail;
      return std::max(box(p, 0.82, 0.82), -box(p, hole, hole));
    }
    case Kind::triangle:
      return std::max(-p.y, std::abs(p.x) * 0.8660254037844386 + p.y * 0.5) - 0.55;
    case Kind::star:
      return 1.1 * star({-p.y / 1.1, p.x / 1.1});
    case Kind::cross:
      return std::min(box(p, 0.95, 0.27), box(p, 0.27, 0.95));
    case Kind::tee:
      return std::min(box(p, 0.95, 0.27), box({p.x, p.y - 0.34}, 0.27, 0.61));
    case Kind::two_bars:
      return box({std::abs(p.x) - 0.52, p.y}, 0.3 - 0.04 * detail, 0.85);
    case Kind::three_bars:
      return std::min(box({std::abs(p.x) - 0.68, p.y}, 0.2, 0.85), box(p, 0.2, 0.85));
  }
  return 1.0;
}

struct Object {
  Kind kind = Kind::disc;
  Vec center;           // pixels
  double radius = 1.0;  // pixels
  Vec direction{1.0, 0.0};
  double stretch = 1.0;  // of x against y
  double detail = 0.0;
  double edge = 1.0;   // pixels from covered to clear
  double shade = 0.0;  // grey levels from side to side
  Color color;
};

void draw(Canvas& canvas, const Object& o) {
  const double reach = o.radius * 1.25 * std::max(o.stretch, 1.0 / o.stretch) + o.edge;
  const int y0 = std::max(0, static_cast<int>(o.center.y - reach));
  const int x0 = std::max(0, static_cast<int>(o.center.x - reach));
  const int y1 = std::min(kSize - 1, static_cast<int>(o.center.y + reach + 1.0));
  const int x1 = std::min(kSize - 1, static_cast<int>(o.center.x + reach + 1.0));
  for (int y = y0; y <= y1; ++y) {
    for (int x = x0; x <= x1; ++x) {
      const double dx = (x - o.center.x) / o.radius, dy = (y - o.center.y) / o.radius;
      const Vec p{(dx * o.direction.x + dy * o.direction.y) / o.stretch,
                  (dy * o.direction.x - dx * o.direction.y) * o.stretch};
      const double d = distance(o.kind, p, o.detail) * o.radius / o.edge;
      const double cover = std::clamp(0.5 - d, 0.0, 1.0);
      if (cover == 0.0) continue;
      const double light = o.shade * p.x;
      Color& c = canvas[static_cast<std::size_t>(y * kSize + x)];
      c.r += cover * (o.color.r + light - c.r);
      c.g += cover * (o.color.g + light - c.g);
      c.b += cover * (o.color.b + light - c.b);
    }
  }
}

/// A random hue: `grey` is the channels' mean, `strength` their largest distance from it.
Color tint(RandomStream& random, double grey, double strength) {
  const Vec hue = kDirections[static_cast<std::size_t>(random.below(kTurn))];
  const double along = strength * hue.x, across = 0.8660254037844386 * strength * hue.y;
  return {grey + along, grey - 0.5 * along + across, grey - 0.5 * along - across};
}

/// Soft clouds around `base`: random colours on a coarse grid, smoothly joined.
void draw_background(Canvas& canvas, RandomStream& random, Color base, double strength) {
  constexpr int kCells = 4;
  std::array<Color, (kCells + 1) * (kCells + 1)> grid;
  for (Color& corner : grid) {
    const double grey = random.uniform(-strength, strength);
    corner = tint(random, grey, 0.6 * strength);
  }
  std::array<double, kSize> weight;
  for (int i = 0; i < kSize; ++i) {
    const double t = (i * kCells % kSize + 0.5 * kCells) / kSize;
    weight[static_cast<std::size_t>(i)] = t * t * (3.0 - 2.0 * t);
  }
  for (int y = 0; y < kSize; ++y) {
    const double v = weight[static_cast<std::size_t>(y)];
    for (int x = 0; x < kSize; ++x) {
      const double u = weight[static_cast<std::size_t>(x)];
      const auto cell =
          static_cast<std::size_t>(y * kCells / kSize * (kCells + 1) + x * kCells / kSize);
      const Color &a = grid[cell], &b = grid[cell + 1], &c = grid[cell + kCells + 1],
                  &d = grid[cell + kCells + 2];
      const double wa = (1 - u) * (1 - v), wb = u * (1 - v), wc = (1 - u) * v, wd = u * v;
      canvas[static_cast<std::size_t>(y * kSize + x)] = {
          base.r + wa * a.r + wb * b.r + wc * c.r + wd * d.r,
          base.g + wa * a.g + wb * b.g + wc * c.g + wd * d.g,
          base.b + wa * a.b + wb * b.b + wc * c.b + wd * d.b};
    }
  }
}

/// Adds noise of standard deviation `sigma` grey levels and rounds. The noise is the sum of a
/// word's four bytes: near normal, and without a logarithm.
void finish(const Canvas& canvas, RandomStream& random, double sigma, std::uint8_t* out) {
  const double scale = sigma / 147.80;  // standard deviation of the sum
  for (const Color& color : canvas) {
    for (const double value : {color.r, color.g, color.b}) {
      const std::uint32_t word = random.next_u32();
      const int sum =
          static_cast<int>((word & 255) + (word >> 8 & 255) + (word >> 16 & 255) + (word >> 24));
      *out++ = static_cast<std::uint8_t>(std::clamp(value + scale * (sum - 510) + 0.5, 0.0, 255.0));
    }
  }
}

Vec turned(RandomStream& random, double turns) {
  const auto range = static_cast<std::int64_t>(turns * kTurn);
  const std::int64_t angle = random.below(2 * range + 1) - range;
  return kDirections[static_cast<std::size_t>((angle + kTurn) % kTurn)];
}

/// A place for something of `radius`, apart from the target's centre by `apart` where one is found.
Vec place(RandomStream& random, double radius, const Vec& target, double apart) {
  Vec spot;
  for (int attempt = 0; attempt < 12; ++attempt) {
    spot.x = random.uniform(radius - 2.0, kSize + 1.0 - radius);
    spot.y = random.uniform(radius - 2.0, kSize + 1.0 - radius);
    const double dx = spot.x - target.x, dy = spot.y - target.y;
    if (dx * dx + dy * dy >= apart * apart) break;
  }
  return spot;
}

void render(std::uint64_t seed, int part, std::int64_t index, std::uint8_t* out) {
  RandomStream random(seed, RandomPurpose::synthetic, static_cast<std::uint64_t>(part),
                      static_cast<std::uint64_t>(index));
  const double hard = static_cast<double>(synthetic_level(index)) / (kSyntheticLevels - 1);
  const auto mix = [hard](double easy, double difficult) {
    return easy + (difficult - easy) * hard;
  };

  const double contrast = mix(115.0, 60.0);
  const double back = random.uniform(50.0, 205.0);
  const double front = back > 127.5 ? back - contrast : back + contrast;
  const Color ground = tint(random, back, 40.0);
  Canvas canvas;
  draw_background(canvas, random, ground, mix(8.0, 34.0));

  Object target;
  target.kind = static_cast<Kind>(index % kClasses);
  target.radius = mix(12.5, 7.5) + random.uniform(-1.0, 1.0);
  const double room = (kSize - 1) / 2.0 - 0.95 * target.radius;
  target.center.x = (kSize - 1) / 2.0 + random.uniform(-room, room);
  target.center.y = (kSize - 1) / 2.0 + random.uniform(-room, room);
  target.direction = turned(random, mix(0.02, 0.5));
  target.stretch = 1.0 + random.uniform(-1.0, 1.0) * mix(0.02, 0.16);
  target.detail = hard;
  target.edge = mix(1.0, 1.4);
  target.shade = mix(4.0, 22.0);
  target.color = tint(random, front, 45.0);

  const auto distractors = static_cast<int>(mix(0.0, 7.0));
  for (int i = 0; i < distractors; ++i) {
    Object small;
    small.kind = static_cast<Kind>(random.below(kClasses));
    // The first one is a rival, told from the target by its size; the rest are crumbs.
    small.radius =
        i == 0 ? random.uniform(0.3, 0.5 + 0.25 * hard) * target.radius : random.uniform(1.6, 2.8);
    small.center = place(random, small.radius, target.center, target.radius + small.radius);
    small.direction = turned(random, 0.5);
    const double grey = random.uniform(back, front);
    small.color = tint(random, 0.3 * grey + 0.7 * front, 45.0);
    draw(canvas, small);
  }
  draw(canvas, target);
  if (hard > 0.5) {  // something in front: a bead on the target's rim
    Object bead;
    bead.kind = Kind::disc;
    bead.radius = random.uniform(0.2, 0.34) * target.radius;
    const Vec way = turned(random, 0.5);
    bead.center = {target.center.x + 0.85 * target.radius * way.x,
                   target.center.y + 0.85 * target.radius * way.y};
    const double grey = random.uniform(40.0, 215.0);
    bead.color = tint(random, grey, 45.0);
    draw(canvas, bead);
  }
  finish(canvas, random, mix(3.0, 20.0), out);
}

ImageSet make_part(std::uint64_t seed, int part, std::int64_t count, cpu::ThreadPool* pool) {
  ImageSet set;
  set.h = set.w = kSize;
  set.c = 3;
  set.images.resize(static_cast<std::size_t>(count * set.image_elems()));
  set.labels.resize(static_cast<std::size_t>(count));
  const auto make = [&](std::int64_t index, int) {
    set.labels[static_cast<std::size_t>(index)] = static_cast<std::int32_t>(index % kClasses);
    render(seed, part, index, set.images.data() + index * set.image_elems());
  };
  if (pool != nullptr) {
    pool->parallel_for(count, make);
  } else {
    for (std::int64_t index = 0; index < count; ++index) make(index, 0);
  }
  return set;
}

}  // namespace

Dataset make_synthetic(const SyntheticOptions& options, cpu::ThreadPool* pool) {
  constexpr std::int64_t kMost = std::int64_t{1} << 32;  // images a stream's name can tell apart
  if (options.train < 1 || options.test < 1 || options.train > kMost || options.test > kMost) {
    throw ConfigError(message("--synthetic-train ", options.train, " and --synthetic-test ",
                              options.test, ": use 1 to ", kMost, " images of each"));
  }
  Dataset data;
  data.name = "synthetic";
  data.class_names = {"disc", "ring",  "square", "frame",    "triangle",
                      "star", "cross", "tee",    "two_bars", "three_bars"};
  data.train = make_part(options.seed, 0, options.train, pool);
  data.test = make_part(options.seed, 1, options.test, pool);
  set_channel_statistics(data);
  data.fingerprint = fingerprint(data.train, data.test);
  return data;
}

}  // namespace msd
