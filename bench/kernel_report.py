#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the compiler made of the CUDA kernels in a binary, as a Markdown table.

Registers, static shared memory and spills (stack and local bytes) come from cuobjdump
--dump-resource-usage, tensor-core instructions from cuobjdump -sass. Variants of a kernel for one
type share a row, with the largest figure of them; instructions are the smallest and largest count.
Needs no GPU. Exits with 1 where a hot kernel (implicit_gemm, weight_gradient) spills or has no
tensor-core instruction.
"""
from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Iterator

HOT = ("implicit_gemm", "weight_gradient")
MATH_MODES = {"0": "bf16", "1": "tf32", "2": "fp32"}  # fp32: three products of tf32 parts
TYPES = {"__nv_bfloat16": "bf16", "float": "fp32", "double": "fp64"}
MATRIX = re.compile(r"\b(HGMMA|QGMMA|IGMMA|HMMA|IMMA|DMMA|QMMA)\.")


@dataclass
class Kernel:
    name: str
    dtype: str
    registers: int
    shared_bytes: int
    spilled_bytes: int
    matrix: int = 0

    @property
    def hot(self) -> bool:
        return any(part in self.name for part in HOT)

    @property
    def faults(self) -> list[str]:
        if not self.hot:
            return []
        found = ["spills"] if self.spilled_bytes else []
        if not self.matrix:
            found.append("has no tensor-core instruction")
        return found


@dataclass
class Row:
    variants: list[Kernel]

    def cells(self) -> list[str]:
        first = self.variants[0]
        counts = [k.matrix for k in self.variants]
        matrix = str(counts[0]) if min(counts) == max(counts) else f"{min(counts)}-{max(counts)}"
        return [
            first.name,
            first.dtype,
            str(len(self.variants)),
            str(max(k.registers for k in self.variants)),
            str(max(k.shared_bytes for k in self.variants)),
            str(max(k.spilled_bytes for k in self.variants)),
            matrix,
        ]


def name_and_type(demangled: str) -> tuple[str, str]:
    """weight_gradient_kernel and bf16 of `void msd::...::weight_gradient_kernel<(...)0, ...>(...)`."""
    found = re.search(r"(\w+)(?:<(.*)>)?\(", demangled.replace("(anonymous namespace)", "_"))
    if not found:
        return demangled, ""
    name, arguments = found.group(1), found.group(2) or ""
    mode = re.match(r"\([\w:]*MathMode\)(\d)", arguments)
    if mode:
        return name, MATH_MODES.get(mode.group(1), mode.group(1))
    types = [short for long, short in TYPES.items() if re.search(rf"\b{long}\b", arguments)]
    return name, types[0] if types else ""


def parse_resources(output: str) -> dict[str, tuple[int, int, int]]:
    """Mangled name -> registers, static shared bytes, stack and local bytes."""
    found = {}
    pattern = re.compile(r"Function (\S+):\s+REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")
    for name, registers, stack, shared, local in pattern.findall(output):
        found[name] = (int(registers), int(shared), int(stack) + int(local))
    return found


def count_matrix(lines: Iterable[str]) -> dict[str, int]:
    """Mangled name -> tensor-core instructions in its machine code."""
    counts: dict[str, int] = {}
    current = ""
    for line in lines:
        if "Function :" in line:
            current = line.split("Function :", 1)[1].strip()
            counts[current] = 0
        elif current and MATRIX.search(line):
            counts[current] += 1
    return counts


def demangle(names: list[str]) -> list[str]:
    tool = shutil.which("cu++filt") or shutil.which("c++filt")
    if tool is None:
        sys.exit("kernel_report: neither cu++filt nor c++filt is on PATH")
    done = subprocess.run([tool], input="\n".join(names), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def rows(kernels: list[Kernel]) -> Iterator[Row]:
    groups: dict[tuple[str, str], Row] = {}
    for kernel in kernels:
        groups.setdefault((kernel.name, kernel.dtype), Row([])).variants.append(kernel)
    for key in sorted(groups, key=lambda k: (not any(h in k[0] for h in HOT), k)):
        yield groups[key]


def markdown(kernels: list[Kernel], keep: list[str]) -> str:
    lines = ["| kernel | type | variants | registers | shared bytes | spilled bytes | tensor cores |",
             "|---|---|--:|--:|--:|--:|--:|"]
    for row in rows(kernels):
        if not keep or row.variants[0].dtype in keep:
            lines.append("| " + " | ".join(row.cells()) + " |")
    return "\n".join(lines)


def dump(tool: str, option: str, binary: Path) -> str:
    done = subprocess.run([tool, option, str(binary)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"kernel_report: {tool} {option} {binary}: {done.stderr.strip()}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("binary", type=Path)
    parser.add_argument("--cuobjdump", default="cuobjdump", metavar="PATH")
    parser.add_argument("--types", default="", help="only rows of these, as bf16,tf32,fp32")
    args = parser.parse_args()
    if shutil.which(args.cuobjdump) is None:
        sys.exit("kernel_report: no cuobjdump; it comes with the toolkit, and "
                 "pip install nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm has it too")
    resources = parse_resources(dump(args.cuobjdump, "--dump-resource-usage", args.binary))
    matrix = count_matrix(dump(args.cuobjdump, "-sass", args.binary).splitlines())
    if not resources:
        sys.exit(f"kernel_report: {args.binary} holds no CUDA kernel")
    missing = sorted(set(resources) - set(matrix))
    if missing:
        sys.exit(f"kernel_report: no machine code shown of {len(missing)} kernels; "
                 "is nvdisasm on PATH?")
    kernels = []
    for mangled, demangled in zip(resources, demangle(list(resources))):
        kernels.append(Kernel(*name_and_type(demangled), *resources[mangled], matrix[mangled]))
    print(markdown(kernels, [t for t in args.types.split(",") if t]))
    hot = [kernel for kernel in kernels if kernel.hot]
    faults = [f"{k.name} ({k.dtype}) {fault}" for k in hot for fault in k.faults]
    if not hot:
        faults.append("no hot kernel found")
    for fault in faults:
        print(f"kernel_report: {fault}", file=sys.stderr)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
