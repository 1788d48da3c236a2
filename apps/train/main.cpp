// SPDX-License-Identifier: MIT
#include "apps/train/command.h"

int main(int argc, char** argv) { return msd::train_main(argc, argv); }
