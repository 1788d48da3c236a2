#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What msd-convert writes, opened by PyTorch and the safetensors package: logits and tensors.

Converts WEIGHTS to .pth and .safetensors, opens both (torch.load with weights_only=True where PyTorch
has it, safetensors.numpy.load_file where it is installed), loads them into the network of
msdnet_torch.py with strict names, and prints the largest difference of its logits on the `input` of
EXPECTED (safetensors with `logitsK` or, preferred, `logitsK_f64`), relative to the largest. Tensors of
both files must be equal. Ends with 1 where one is above the tolerance. Needs: torch, numpy;
safetensors.
"""
from __future__ import annotations

import argparse
import inspect
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
from msdnet_torch import Config, MSDNet, load_safetensors


def run(program: Path, *arguments: str | Path) -> str:
    command = [str(program), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def torch_load(path: Path) -> dict:
    safe = "weights_only" in inspect.signature(torch.load).parameters
    return torch.load(path, map_location="cpu", **({"weights_only": True} if safe else {}))


def difference(model: MSDNet, state: dict[str, torch.Tensor], expected: dict[str, np.ndarray]) -> float:
    model.load_state_dict(state)
    with torch.no_grad():
        logits = model.eval()(torch.from_numpy(expected["input"].astype(np.float32)))
    worst = 0.0
    for number, values in enumerate(logits, 1):
        name = f"logits{number}"
        reference = expected.get(f"{name}_f64", expected.get(name))
        error = np.abs(values.numpy() - reference).max() / np.abs(reference).max()
        worst = max(worst, float(error)) if np.isfinite(error) else float("inf")
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path)
    parser.add_argument("expected", type=Path)
    parser.add_argument("--convert", type=Path, default=ROOT / "build/bin/msd-convert")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    args = parser.parse_args()
    torch.set_num_threads(1)

    config = json.loads(run(args.convert, args.weights, "--json"))["config"]
    factors = ("growth_factors", "bottleneck_factors")
    model = MSDNet(Config(name=args.weights.name, **{
        key: tuple(value) if key in factors else value for key, value in config.items()
    }))
    expected = load_safetensors(args.expected)
    with tempfile.TemporaryDirectory() as folder:
        pth, tensors = Path(folder) / "w.pth", Path(folder) / "w.safetensors"
        for path in (pth, tensors):  # PyTorch 1.13's weights_only knows no floats, as SGD has them
            run(args.convert, args.weights, path, "--weights-only")
        states = {f"PyTorch {torch.__version__}": torch_load(pth)["state_dict"]}
        try:
            from safetensors.numpy import load_file
        except ImportError:
            print("no safetensors package: skipped", file=sys.stderr)
        else:
            states["safetensors"] = {k: torch.from_numpy(v) for k, v in load_file(tensors).items()}
    first = next(iter(states.values()))
    failed = False
    print("| opened by | tensors | logits differ by |\n|---|---|---|")
    for opener, state in states.items():
        equal = state.keys() == first.keys() and all(
            torch.equal(state[name], tensor) for name, tensor in first.items()
        )
        worst = difference(model, dict(state), expected) if equal else float("inf")
        failed = failed or not worst <= args.tolerance
        print(f"| {opener} | {len(state)}{'' if equal else ', not equal'} | {worst:.2e} |")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
