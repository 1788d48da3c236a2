// SPDX-License-Identifier: MIT
// For compare_images.py: decodes the files whose paths come in lines on the standard input. For
// each it prints a line, "W H" and behind it the pixels, or "- " and why it is refused.
#include <iostream>
#include <string>

#include "data/image_file.h"
#include "kernels/error.h"

int main() {
  for (std::string path; std::getline(std::cin, path); std::cout.flush()) {
    try {
      const msd::Image image = msd::decode_image_file(path);
      std::cout << image.w << ' ' << image.h << '\n';
      std::cout.write(reinterpret_cast<const char*>(image.pixels.data()),
                      static_cast<std::streamsize>(image.pixels.size()));
    } catch (const msd::Error& error) {
      std::cout << "- " << error.what() << '\n';
    }
  }
}
