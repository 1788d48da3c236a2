// SPDX-License-Identifier: MIT
#include "apps/convert/convert.h"

int main(int argc, char** argv) { return msd::convert_main(argc, argv); }
