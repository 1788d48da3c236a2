#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An exported network in ONNX Runtime against expected logits, as a Markdown table.

The model is checked by the onnx package first (types and shapes too). FILE.safetensors holds `input`
[n, 3, size, size] and for every output of the model, `logitsK`, a tensor of that name or, preferred,
`logitsK_f64`. A difference is the largest of an exit, relative to its largest expected logit. Ends
with 1 where one is above the tolerance. Needs: pip install onnx onnxruntime numpy.
"""
from __future__ import annotations

import argparse
import json
import struct
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

DTYPES = {"F32": np.float32, "F64": np.float64}


def load_floats(path: Path) -> dict[str, np.ndarray]:
    """The f32 and f64 tensors of a safetensors file."""
    data = path.read_bytes()
    (header_bytes,) = struct.unpack_from("<Q", data)
    start = 8 + header_bytes
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if entry.get("dtype") not in DTYPES:
            continue
        first, last = entry["data_offsets"]
        values = np.frombuffer(data[start + first : start + last], DTYPES[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"])
    return tensors


def run(model: Path, images: np.ndarray, optimise: bool) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        str(model), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"input": images.astype(np.float32)})))


def difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """Infinite where shapes differ or anything is not a number."""
    if actual.shape != expected.shape:
        return float("inf")
    worst = np.abs(actual - expected).max() / np.abs(expected).max()
    return float(worst) if np.isfinite(worst) else float("inf")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="FILE.onnx")
    parser.add_argument("expected", type=Path, help="FILE.safetensors")
    parser.add_argument("--tolerance", type=float, default=1e-5, metavar="X", help="default 1e-5")
    parser.add_argument("--no-optimise", action="store_true", help="run the graph as it is")
    args = parser.parse_args()

    onnx.checker.check_model(str(args.model), full_check=True)
    expected = load_floats(args.expected)
    if "input" not in expected:
        sys.exit(f"compare_onnx: {args.expected} holds no `input`")
    logits = run(args.model, expected["input"], not args.no_optimise)
    worst = 0.0
    print(f"{args.model.name}, ONNX Runtime {onnxruntime.__version__}, onnx {onnx.__version__}\n")
    print("| exit | largest difference |\n|---|--:|")
    for name, actual in logits.items():
        answer = expected.get(f"{name}_f64", expected.get(name))
        if answer is None:
            sys.exit(f"compare_onnx: {args.expected} holds no `{name}`")
        exit_difference = difference(actual, answer)
        worst = max(worst, exit_difference)
        print(f"| {name} | {exit_difference:.2e} |")
    if worst > args.tolerance:
        sys.exit(f"compare_onnx: {worst:.2e} is more than {args.tolerance:.0e}")


if __name__ == "__main__":
    main()
