#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""PyTorch and msd-bench side by side on one GPU, as a Markdown table. Never ran on a GPU yet.

Data lies on the GPU. Training: channels_last, bf16 autocast, fused SGD; eager, and torch.compile in
the modes max-autotune and reduce-overhead, of which the faster counts. Inference: batch norm folded
into the convolutions, channels_last, under a CUDA graph, in bf16 and fp32 (no tf32). The network is
msdnet_torch.py's. Both sides are timed by the wall clock around many launches and one wait.
Preparation comes first, compilers last; rounds then alternate the two sides. A figure is the median
of the rounds, the bracket the smallest and largest ratio of a round. What fails, or does not fit the
time, is n/a. Exit 1 of PyTorch is block 1 with all its scales, ours what the exit depends on.
"""
from __future__ import annotations

import argparse
import copy
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Callable, Iterator

from bench_json import parse_benchmark

ROOT = Path(__file__).resolve().parents[1]
NETS = {"A": "cifar10-anytime10", "E": "imagenet-k4"}
MODES = ("reduce-overhead", "max-autotune")
LEAST_LAUNCH_SECONDS = 0.05

Call = Callable[[], object]


class TimedOut(Exception):
    pass


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Raises TimedOut in the body after that long; a call into C++ is left when it returns."""

    def stop(*_: object) -> None:
        raise TimedOut(f"more than {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclass
class Case:
    op: str  # train_step | evaluate | exit1
    net: str
    batch: int
    precision: str
    peer: str  # eager | compile | graph
    target: float | None = None
    peer_ms: list[float] = field(default_factory=list)
    ours_ms: list[float] = field(default_factory=list)
    note: str = ""

    @property
    def benchmark(self) -> str:
        return f"cuda/{self.op}/{NETS[self.net]}/{self.batch}/{self.precision}"

    def summary(self) -> dict[str, Any]:
        out: dict[str, Any] = {**asdict(self), "benchmark": self.benchmark}
        for side, times in (("peer", self.peer_ms), ("ours", self.ours_ms)):
            out[f"{side}_median_ms"] = median(times) if times else None
        ratios = [p / o for p, o in zip(self.peer_ms, self.ours_ms)]
        if ratios:
            ratio = median(self.peer_ms) / median(self.ours_ms)
            out |= {"ratio": ratio, "ratio_min": min(ratios), "ratio_max": max(ratios)}
            if self.target is not None:
                out["reached"] = ratio >= self.target
        return out


def all_cases() -> list[Case]:
    """In the order of what matters most, as the time may end."""
    cases = [
        Case("train_step", "A", 64, "bf16", "eager", 8.0),
        Case("train_step", "A", 64, "bf16", "compile", 2.0),
        Case("exit1", "A", 1, "bf16", "graph", 4.0),
        Case("evaluate", "A", 1, "bf16", "graph", 4.0),
        Case("evaluate", "E", 1, "bf16", "graph", 1.5),
        Case("evaluate", "E", 64, "bf16", "graph", 1.5),
        Case("train_step", "A", 512, "bf16", "eager"),
        Case("train_step", "A", 512, "bf16", "compile", 1.3),
        Case("evaluate", "A", 64, "bf16", "graph"),
        Case("exit1", "E", 1, "bf16", "graph"),
    ]
    fp32 = [Case(c.op, c.net, c.batch, "fp32", c.peer) for c in cases if c.peer == "graph"]
    return cases + fp32


def markdown(cases: list[Case]) -> str:
    what = {"train_step": "training step", "evaluate": "inference, all exits",
            "exit1": "inference, exit 1"}
    peers = {"eager": "eager", "compile": "compile", "graph": "CUDA graph"}
    rows = [
        "| what | net | batch | precision | PyTorch | ms | ours ms | ratio | target | |",
        "|---|---|--:|---|---|--:|--:|--:|--:|---|",
    ]
    for case in cases:
        s = case.summary()
        cells = [what[case.op], NETS[case.net], str(case.batch), case.precision, peers[case.peer]]
        for side in ("peer", "ours"):
            ms = s[f"{side}_median_ms"]
            cells.append("n/a" if ms is None else f"{ms:.3f}")
        if "ratio" in s:
            cells.append(f"{s['ratio']:.2f} ({s['ratio_min']:.2f}-{s['ratio_max']:.2f})")
        else:
            cells.append("n/a")
        cells.append("" if case.target is None else f">= {case.target:g}")
        verdict = "" if "reached" not in s else "reached" if s["reached"] else "missed"
        cells.append("; ".join(part for part in (verdict, case.note) if part))
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def one_line(error: BaseException) -> str:
    text = (str(error) or type(error).__name__).strip().splitlines()[0]
    return text.replace("|", "/")[:80]


def wall_ms(call: Call, wait: Call) -> float:
    """Milliseconds a call of as many as fill LEAST_LAUNCH_SECONDS before one wait."""
    count = 5
    while True:
        start = time.perf_counter()
        for _ in range(count):
            call()
        wait()
        seconds = time.perf_counter() - start
        if seconds >= LEAST_LAUNCH_SECONDS:
            return 1e3 * seconds / count
        count *= 2


class Peer:
    """PyTorch's side. torch is imported here, so that the rest works without it."""

    def __init__(self) -> None:
        try:
            import torch

            import msdnet_torch
        except ImportError as error:
            sys.exit(f"compare_pytorch_gpu: PyTorch and NumPy are needed: {error}")
        if not torch.cuda.is_available():
            sys.exit("compare_pytorch_gpu: PyTorch sees no GPU")
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
        self.torch, self.nets = torch, msdnet_torch
        self.device = f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}"

    def wait(self) -> None:
        self.torch.cuda.synchronize()

    def model_and_images(self, case: Case) -> tuple[Any, Any]:
        torch, config = self.torch, self.nets.PRESETS[case.net]
        torch.manual_seed(1)
        model = self.nets.MSDNet(config).cuda().to(memory_format=torch.channels_last)
        shape = (case.batch, 3, config.image_size, config.image_size)
        images = torch.randn(*shape, device="cuda").contiguous(memory_format=torch.channels_last)
        return model, images

    def training(self, case: Case, mode: str | None) -> Call:
        torch, nets = self.torch, self.nets
        model, images = self.model_and_images(case)
        classes = nets.PRESETS[case.net].classes
        labels = torch.randint(classes, (case.batch,), device="cuda")
        optimiser = torch.optim.SGD(model.train().parameters(), 1e-3, 0.9, weight_decay=1e-4,
                                    nesterov=True, fused=True)

        def loss_of(x: Any, y: Any) -> Any:
            with torch.autocast("cuda", dtype=torch.bfloat16):
                return nets.exits_loss(model(x), y)

        forward = loss_of if mode is None else torch.compile(loss_of, mode=mode, dynamic=False)

        def step() -> None:
            if mode is not None:
                torch.compiler.cudagraph_mark_step_begin()
            optimiser.zero_grad()
            forward(images, labels).backward()
            optimiser.step()

        return step

    def folded(self, model: Any) -> Any:
        """A copy in which each convolution holds the batch norm after it."""
        from torch.nn.utils.fusion import fuse_conv_bn_eval

        torch, fused = self.torch, copy.deepcopy(model).eval()
        for module in list(fused.modules()):
            if not isinstance(module, torch.nn.Sequential):
                continue
            for i in range(len(module) - 1):
                conv, norm = module[i], module[i + 1]
                if isinstance(conv, torch.nn.Conv2d) and isinstance(norm, torch.nn.BatchNorm2d):
                    module[i], module[i + 1] = fuse_conv_bn_eval(conv, norm), torch.nn.Identity()
        return fused

    def inference(self, case: Case) -> Call:
        torch = self.torch
        model, images = self.model_and_images(case)
        dtype = torch.bfloat16 if case.precision == "bf16" else torch.float32
        model = self.folded(model).to(dtype=dtype, memory_format=torch.channels_last)
        images = images.to(dtype)

        def forward() -> Any:
            if case.op == "exit1":
                return model.classifier[0](model.blocks[0](images)[-1])
            return model(images)

        with torch.no_grad():
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(3):
                    forward()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                kept = forward()

        def replay() -> object:
            graph.replay()
            return kept

        return replay

    def prepare(self, case: Case, seconds: float) -> list[Call]:
        """The calls of which the fastest counts, warmed up. Raises where there is none."""
        if case.peer != "compile":
            with limit(seconds):
                call = self.inference(case) if case.peer == "graph" else self.training(case, None)
                for _ in range(5):
                    call()
                self.wait()
            return [call]
        calls, notes = [], []
        for mode in MODES:
            try:
                with limit(seconds / len(MODES)):
                    call = self.training(case, mode)
                    for _ in range(5):
                        call()
                    self.wait()
                calls.append(call)
            except Exception as error:  # compilers fail in many ways
                notes.append(f"{mode} n/a: {one_line(error)}")
        if not calls:
            raise RuntimeError("; ".join(notes))
        case.note = "; ".join(notes)
        return calls


def run_bench(bench: Path, names: list[str], seconds: float) -> str:
    """Its JSON, of all of them in one process."""
    command = [str(bench), f"--benchmark_filter=^({'|'.join(names)})(/|$)",
               "--benchmark_format=json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=max(seconds, 5.0))
    if done.returncode:
        raise ValueError(f"msd-bench ended with {done.returncode}: {done.stderr.strip()[-200:]}")
    return done.stdout


def prepare_all(peer: Peer, cases: list[Case], left: Callable[[], float],
                compile_seconds: float) -> list[tuple[Case, list[Call]]]:
    """Those that work. The others' notes say why they do not."""
    ready = []
    for case in sorted(cases, key=lambda c: c.peer == "compile"):
        if left() <= 1.0:
            case.note = "no time left to prepare"
            continue
        own = compile_seconds if case.peer == "compile" else 30.0
        try:
            ready.append((case, peer.prepare(case, min(own, left()))))
        except Exception as error:  # one case must not end the others
            case.note = one_line(error)
    return ready


def one_round(peer: Peer, bench: Path, ready: list[tuple[Case, list[Call]]], ours_first: bool,
              seconds: float) -> list[tuple[Case, list[Call]]]:
    """Appends a pair of figures to each case; returns those that gave one."""
    failed: list[Case] = []

    def fail(case: Case, error: Exception) -> None:
        failed.append(case)
        case.note = one_line(error)

    def peers() -> None:
        for case, calls in ready:
            try:
                case.peer_ms.append(min(wall_ms(call, peer.wait) for call in calls))
            except Exception as error:  # one case must not end the others
                fail(case, error)

    def ours() -> None:
        output = run_bench(bench, sorted({case.benchmark for case, _ in ready}), seconds)
        for case, _ in ready:
            try:
                case.ours_ms.append(parse_benchmark(output, case.benchmark))
            except (ValueError, KeyError) as error:
                fail(case, error)

    for side in (ours, peers) if ours_first else (peers, ours):
        side()
    return [entry for entry in ready if entry[0] not in failed]


def measure(peer: Peer, bench: Path, cases: list[Case], rounds: int, seconds: float,
            compile_seconds: float) -> None:
    """Up to 0.6 of the time to prepare, the rest for rounds."""
    started = time.monotonic()

    def left(share: float = 1.0) -> float:
        return share * seconds - (time.monotonic() - started)

    ready = prepare_all(peer, cases, lambda: left(0.6), compile_seconds)
    for number in range(rounds):
        if not ready or left() <= 0.0:
            break
        try:
            ready = one_round(peer, bench, ready, number % 2 == 1, left())
        except subprocess.TimeoutExpired:
            print("no time left for this round", file=sys.stderr)
            break
        finally:
            for case in cases:
                pairs = min(len(case.peer_ms), len(case.ours_ms))
                del case.peer_ms[pairs:], case.ours_ms[pairs:]
        print(f"round {number + 1} of {rounds}", file=sys.stderr)


class StandIn:
    """A peer for the self-test; its eager mode fails, its compiler is never ready."""

    def wait(self) -> None:
        time.sleep(0.001)

    def prepare(self, case: Case, seconds: float) -> list[Call]:
        if case.peer == "compile":
            with limit(0.05):
                time.sleep(5)
        if case.peer == "eager":
            raise RuntimeError("out of memory\nat length")
        return [lambda: time.sleep(0.002), lambda: time.sleep(0.004)]


def test_rounds() -> None:
    cases = [Case("evaluate", "A", 1, "bf16", "graph"), Case("exit1", "A", 1, "bf16", "graph"),
             Case("train_step", "A", 64, "bf16", "eager"),
             Case("train_step", "A", 64, "bf16", "compile")]
    answer = {"benchmarks": [
        {"name": f"{cases[0].benchmark}/manual_time", "real_time": 1.0, "time_unit": "ms"},
        {"name": f"{cases[1].benchmark}/manual_time", "error_occurred": True,
         "error_message": "needs a GPU"}]}
    with tempfile.TemporaryDirectory() as folder:
        bench = Path(folder) / "bench"
        bench.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(answer)}\nEND\n")
        bench.chmod(0o755)
        measure(StandIn(), bench, cases, 2, 20.0, 5.0)  # type: ignore[arg-type]
    assert len(cases[0].peer_ms) == len(cases[0].ours_ms) == 2, cases[0]
    assert 1.9 < cases[0].summary()["ratio"] < 8.0, cases[0]
    assert [bool(case.peer_ms) for case in cases[1:]] == [False] * 3
    notes = [case.note for case in cases]
    assert notes == ["", "needs a GPU", "out of memory", "more than 0 s"], notes


def self_test() -> None:
    """What can be checked without a GPU and without PyTorch."""
    case = Case("train_step", "A", 64, "bf16", "eager", 8.0, [9.0, 10.0, 11.0], [1.0, 1.0, 2.0])
    summary = case.summary()
    assert case.benchmark == "cuda/train_step/cifar10-anytime10/64/bf16"
    assert summary["ratio"] == 10.0 and summary["reached"]
    assert (summary["ratio_min"], summary["ratio_max"]) == (5.5, 10.0)
    empty = Case("evaluate", "E", 1, "fp32", "graph", 1.5, note="no | here")
    table = markdown([case, empty]).splitlines()
    assert "10.00 (5.50-10.00) | >= 8 | reached |" in table[2], table[2]
    assert "| n/a | n/a | n/a | >= 1.5 |" in table[3], table[3]
    assert "reached" not in empty.summary()
    assert len({(c.benchmark, c.peer) for c in all_cases()}) == len(all_cases())
    assert one_line(ValueError("a | b\nc")) == "a / b"
    waits: list[int] = []
    assert wall_ms(lambda: time.sleep(0.002), lambda: waits.append(1)) >= 2.0 and waits
    try:
        with limit(0.05):
            time.sleep(5)
        raise AssertionError("no limit")
    except TimedOut:
        pass
    json.dumps([c.summary() for c in (case, empty)])
    test_rounds()
    print("self-test passed")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--nets", default="A,E", help="comma-separated, among A,E")
    parser.add_argument("--bench", type=Path, default=ROOT / "build-gpu/bin/msd-bench",
                        metavar="PATH")
    parser.add_argument("--seconds", type=float, default=480.0, help="for everything")
    parser.add_argument("--compile-seconds", type=float, default=180.0,
                        help="at most, for the compiler's modes of a case together")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write each round's figures too")
    parser.add_argument("--self-test", action="store_true", help="needs neither GPU nor PyTorch")
    args = parser.parse_args()
    if args.self_test:
        return self_test()
    nets = args.nets.split(",")
    if args.rounds < 1 or not set(nets) <= set(NETS):
        parser.error(f"--rounds must be positive and --nets among {','.join(NETS)}")
    if args.seconds <= 0 or args.compile_seconds <= 0:
        parser.error("--seconds and --compile-seconds must be positive")
    if not os.access(args.bench, os.X_OK):
        sys.exit(f"compare_pytorch_gpu: cannot run {args.bench}; build it or give --bench PATH")
    peer = Peer()
    cases = [case for case in all_cases() if case.net in nets]
    measure(peer, args.bench.resolve(), cases, args.rounds, args.seconds, args.compile_seconds)
    print(f"{peer.device}, up to {args.rounds} rounds\n\n{markdown(cases)}")
    if args.json:
        report = {"device": peer.device, "rounds": args.rounds,
                  "results": [case.summary() for case in cases]}
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    if not any("ratio" in case.summary() for case in cases):
        sys.exit("compare_pytorch_gpu: nothing could be compared")


if __name__ == "__main__":
    main()
