# SPDX-License-Identifier: MIT
"""Figures from msd-bench's JSON."""
from __future__ import annotations

import json
from statistics import median

UNIT_MS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}


def parse_benchmark(output: str, name: str) -> float:
    """Milliseconds of the benchmark: its median aggregate, or the median of its repetitions."""
    start = output.find("{")
    if start < 0:
        raise ValueError("printed no JSON")
    repetitions, aggregate = [], None
    for entry in json.JSONDecoder().raw_decode(output[start:])[0].get("benchmarks", []):
        run = entry.get("run_name", entry["name"])
        if run != name and not run.startswith(name + "/"):
            continue
        if entry.get("error_occurred"):
            raise ValueError(entry.get("error_message", "failed"))
        ms = entry["real_time"] * UNIT_MS[entry.get("time_unit", "ns")]
        if entry.get("run_type", "iteration") == "iteration":
            repetitions.append(ms)
        elif entry.get("aggregate_name") == "median":
            aggregate = ms
    if aggregate is None and not repetitions:
        raise ValueError("reported no such benchmark")
    return median(repetitions) if aggregate is None else aggregate
