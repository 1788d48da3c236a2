#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every file of folders, decoded by us and by Pillow (pip install pillow numpy).

    cmake --build build-cpu --target decode_images
    tests/side_by_side/compare_images.py build-cpu/bin/decode_images FOLDER...

A line for each file that we read, with the greatest difference in grey levels, or that Pillow alone
reads, with our reason. --runs N reads each N times and wants the same bits. Exit code 1: a picture
differs by more than --most from Pillow's, one is of another size, or two runs differ.
"""
import argparse
import os
import subprocess
import sys
import warnings

import numpy as np
from PIL import Image

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
parser.add_argument("program")
parser.add_argument("folders", nargs="+")
parser.add_argument("--most", type=int, default=2)
parser.add_argument("--runs", type=int, default=1)
parser.add_argument("--quiet", action="store_true", help="only what differs by more than --most")
args = parser.parse_args()
warnings.simplefilter("ignore")

paths = sorted(os.path.join(folder, name) for top in args.folders
               for folder, _, names in os.walk(top) for name in names)


def pillow(path):
    try:
        with Image.open(path) as image:
            kind = f"{image.format} {image.mode}"
            if image.mode.startswith("I"):  # convert() makes all above 255 white
                return np.stack([np.asarray(image) >> 8] * 3, -1), kind
            return np.asarray(image.convert("RGB")), kind
    except Exception as error:  # each format has kinds of its own
        return None, f"{type(error).__name__}: {error}"


class Decoder:
    def __init__(self):
        self.process = subprocess.Popen([args.program], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def decode(self, path):
        self.process.stdin.write(os.fsencode(path) + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline().decode(errors="replace").rstrip("\n")
        if not line:
            sys.exit(f"{path}: the program ended")
        if line.startswith("- "):
            return None, line[2:].removeprefix(path + ": ")
        w, h = map(int, line.split())
        pixels = self.process.stdout.read(w * h * 3)
        return np.frombuffer(pixels, np.uint8).reshape(h, w, 3), ""


runs = [Decoder() for _ in range(args.runs)]
counts, failed = {}, False
for path in paths:
    ours, why = runs[0].decode(path)
    theirs, theirs_why = pillow(path)
    for again in runs[1:]:
        other, other_why = again.decode(path)
        if why != other_why or (ours is not None and not np.array_equal(ours, other)):
            print(f"{path}: DIFFERS from run to run")
            failed = True
    if ours is None:
        kind = "refused by both" if theirs is None else "refused by us"
        text = "" if theirs is None else f"{why} (Pillow: {theirs_why})"
    elif theirs is None:
        kind, text = "read by us alone", theirs_why
    elif ours.shape != theirs.shape:
        kind, text = "OF ANOTHER SIZE", f"{ours.shape} and {theirs.shape}"
        failed = True
    else:
        most = int(np.abs(ours.astype(int) - theirs).max())
        kind = "equal" if most == 0 else f"within {args.most}" if most <= args.most else "DIFFERENT"
        text = f"{most} ({theirs_why})" if kind == "DIFFERENT" else ""
        failed |= kind == "DIFFERENT"
    counts[kind] = counts.get(kind, 0) + 1
    if text and (kind.isupper() or not args.quiet):
        print(f"{path}: {kind}: {text}")
print(", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())))
sys.exit(failed)
