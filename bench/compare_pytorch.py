#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""PyTorch and msd-bench side by side on this CPU, one thread each, as a Markdown table.

Rounds alternate the two, so that both see the same state of the machine; a figure is the median of
the rounds, the bracket the smallest and largest ratio of a round. PyTorch runs in what measured
fastest: training eager channels_first (not channels_last), evaluation trace + freeze channels_last
(not channels_first, not optimize_for_inference). The training step is zero_grad, forward, sum of the
exits' cross-entropies, backward, SGD with Nesterov momentum; evaluation computes all exits.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Callable

for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

import torch  # noqa: E402

from bench_json import parse_benchmark  # noqa: E402
from msdnet_torch import PRESETS, MSDNet, sgd, train_step  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
CASES = (("train_step", 64), ("evaluate", 1), ("evaluate", 64))
ROUND_SECONDS = 1.0


@dataclass
class Case:
    op: str
    net: str
    batch: int
    peer_ms: list[float] = field(default_factory=list)
    ours_ms: list[float] = field(default_factory=list)

    @property
    def benchmark(self) -> str:
        return f"{self.op}/{PRESETS[self.net].name}/{self.batch}"

    def summary(self) -> dict[str, Any]:
        ratios = [p / o for p, o in zip(self.peer_ms, self.ours_ms)]
        peer, ours = median(self.peer_ms), median(self.ours_ms)
        return {
            **asdict(self),
            "benchmark": self.benchmark,
            "peer_median_ms": peer,
            "ours_median_ms": ours,
            "peer_images_per_s": 1e3 * self.batch / peer,
            "ours_images_per_s": 1e3 * self.batch / ours,
            "ratio": peer / ours,
            "ratio_min": min(ratios),
            "ratio_max": max(ratios),
        }


def fast_blas(mapped: str) -> str | None:
    """The optimised BLAS among mapped files. numpy's private copy does not count, nor an OpenBLAS
    that is there only as LAPACK while libblas.so is netlib's."""
    lines = [line.split(maxsplit=5)[-1] for line in mapped.splitlines() if "/" in line]
    libraries = sorted({path for path in lines if "numpy" not in path})
    generic = [path for path in libraries if Path(path).name.startswith("libblas.so")]
    for path in generic or libraries:
        if any(fast in path for fast in ("openblas", "libblis", "/blis", "libmkl")):
            return Path(path).parent.name if generic else Path(path).name
    return None


def peer_blas() -> str:
    if torch.backends.mkl.is_available():
        return "MKL"
    torch.ones(64, 64) @ torch.ones(64, 64)
    found = fast_blas(Path("/proc/self/maps").read_text())
    if found is None:
        sys.exit(
            "compare_pytorch: this PyTorch uses the netlib BLAS, tens of times slower than OpenBLAS, "
            "and the comparison would be void. Install OpenBLAS (Debian, Ubuntu: apt-get install "
            "libopenblas0-pthread) and select it: update-alternatives --config "
            f"libblas.so.3-{platform.machine()}-linux-gnu"
        )
    return found


def peer_call(case: Case) -> Callable[[], object]:
    config = PRESETS[case.net]
    torch.manual_seed(1)
    model = MSDNet(config)
    x = torch.randn(case.batch, 3, config.image_size, config.image_size)
    if case.op == "train_step":
        labels = torch.randint(config.classes, (case.batch,))
        optimiser = sgd(model.train(), lr=0.1)
        return lambda: train_step(model, optimiser, x, labels)
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        model = model.eval().to(memory_format=torch.channels_last)
        frozen = torch.jit.freeze(torch.jit.trace(model, x, strict=False))

    def evaluate() -> object:
        with torch.no_grad():
            return frozen(x)

    return evaluate


def peer_ms(call: Callable[[], object], seconds: float) -> float:
    call()
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * median(times)


def ours_ms(bench: Path, name: str) -> float:
    command = [str(bench), "--threads", "1"]
    command += [f"--benchmark_filter=^{name}(/|$)", "--benchmark_format=json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        sys.exit(f"compare_pytorch: {bench} does not run: {error.strerror}")
    try:
        if done.returncode:
            raise ValueError(f"ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        return parse_benchmark(done.stdout, name)
    except (ValueError, KeyError) as error:
        sys.exit(f"compare_pytorch: {' '.join(command)}: {error}")


def cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def markdown(cases: list[Case]) -> str:
    rows = [
        "| what | net | batch | PyTorch ms | images/s | ours ms | images/s | ratio |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for case in cases:
        s = case.summary()
        what = "training step" if case.op == "train_step" else "evaluation, all exits"
        rows.append(
            f"| {what} | {PRESETS[case.net].name} | {case.batch}"
            f" | {s['peer_median_ms']:.2f} | {s['peer_images_per_s']:.0f}"
            f" | {s['ours_median_ms']:.2f} | {s['ours_images_per_s']:.0f}"
            f" | {s['ratio']:.2f} ({s['ratio_min']:.2f}-{s['ratio_max']:.2f}) |"
        )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    nets_help = "; ".join(f"{key} {config.name}" for key, config in PRESETS.items())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--nets", default="A,D", help=f"comma-separated, default A,D: {nets_help}")
    parser.add_argument("--bench", type=Path, default=ROOT / "build/bin/msd-bench", metavar="PATH")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write each round's figures too")
    args = parser.parse_args()
    nets = args.nets.split(",")
    if args.rounds < 1 or not set(nets) <= set(PRESETS):
        parser.error(f"--rounds must be positive and --nets among {','.join(PRESETS)}")
    torch.set_num_threads(1)
    blas = peer_blas()
    if not os.access(args.bench, os.X_OK):
        sys.exit(f"compare_pytorch: cannot run {args.bench}; build it or give --bench PATH")

    cases = [Case(op, net, batch) for net in nets for op, batch in CASES]
    calls = [peer_call(case) for case in cases]
    for case, call in zip(cases, calls):
        for _ in range(10 if case.batch == 1 else 3):
            call()
    for number in range(args.rounds):
        for case, call in zip(cases, calls):
            measure = [
                lambda: case.peer_ms.append(peer_ms(call, ROUND_SECONDS)),
                lambda: case.ours_ms.append(ours_ms(args.bench.resolve(), case.benchmark)),
            ]
            for side in measure if number % 2 == 0 else reversed(measure):
                side()
        print(f"round {number + 1} of {args.rounds}", file=sys.stderr)

    cpu, torch_name = cpu_name(), f"PyTorch {torch.__version__} ({blas})"
    print(f"{cpu}, 1 thread, float32, {torch_name}, {args.rounds} rounds\n\n{markdown(cases)}")
    if args.json:
        report = {"cpu": cpu, "threads": 1, "peer": torch_name, "rounds": args.rounds,
                  "results": [case.summary() for case in cases]}
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
