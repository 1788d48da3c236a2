#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""msd-bench's JSON as a Markdown table and an SVG bar chart.

Bars are the share of the roof: of_copy where a benchmark has it (bytes a second by those of a large
copy), 1/x_floor for whole networks, else bytes or multiply-adds a second by the largest of the file.
Repetitions are one row, by their median. Exits with 1 where a benchmark failed or there is none.
"""
from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from xml.sax.saxutils import escape

UNIT_US = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}
RATES = ("of_copy", "x_floor", "floor_ms", "images/s", "bytes/s", "FLOP/s", "bytes_per_second",
         "GFMA/s", "items_per_second")
FALLBACK_ROOFS = ("bytes/s", "bytes_per_second", "GFMA/s")
SUFFIX = re.compile(r"(/iterations:\d+)?(/manual_time|/real_time)?$")


@dataclass
class Row:
    name: str
    microseconds: float
    counters: dict[str, float]
    share: float | None = None  # of the roof
    label: str = ""


def read(report: dict[str, Any]) -> tuple[list[Row], list[str]]:
    """The rows, and 'name: message' of what failed."""
    samples: dict[str, list[dict[str, Any]]] = {}
    medians: dict[str, dict[str, Any]] = {}
    failed: list[str] = []
    for entry in report.get("benchmarks", []):
        name = entry.get("run_name", entry["name"])
        if entry.get("error_occurred"):
            failed.append(f"{name}: {entry.get('error_message', 'failed')}")
        elif entry.get("run_type", "iteration") == "iteration":
            samples.setdefault(name, []).append(entry)
        elif entry.get("aggregate_name") == "median":
            medians[name] = entry
    rows = []
    for name in {**samples, **medians}:
        entries = [medians[name]] if name in medians else samples[name]
        times = [e["real_time"] * UNIT_US[e.get("time_unit", "ns")] for e in entries]
        counters = {key: median(e[key] for e in entries)
                    for key in RATES if all(isinstance(e.get(key), (int, float)) for e in entries)}
        rows.append(Row(SUFFIX.sub("", name), median(times), counters, label=entries[0].get("label", "")))
    set_shares(rows)
    return rows, failed


def set_shares(rows: list[Row]) -> None:
    largest = {key: max((r.counters.get(key, 0.0) for r in rows), default=0.0)
               for key in FALLBACK_ROOFS}
    for row in rows:
        if "of_copy" in row.counters:
            row.share = row.counters["of_copy"]
        elif row.counters.get("x_floor"):
            row.share = 1.0 / row.counters["x_floor"]
        else:
            found = [k for k in FALLBACK_ROOFS if row.counters.get(k) and largest[k] > 0]
            row.share = row.counters[found[0]] / largest[found[0]] if found else None


def number(value: float) -> str:
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if unit == 'k' else size):.3g}{unit}"
    return f"{value:.4g}"


def markdown(rows: list[Row]) -> str:
    keys = [key for key in RATES if any(key in row.counters for row in rows)]
    labels = any(row.label for row in rows)
    head = ["benchmark", "us", *keys, "of roof", *(["note"] if labels else [])]
    lines = ["| " + " | ".join(head) + " |",
             "|---" + "|--:" * (len(keys) + 2) + ("|---" if labels else "") + "|"]
    for row in rows:
        cells = [row.name, f"{row.microseconds:.4g}"]
        cells += [number(row.counters[key]) if key in row.counters else "" for key in keys]
        cells.append("" if row.share is None else f"{100 * row.share:.0f}%")
        cells += [row.label] if labels else []
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def svg(rows: list[Row], title: str) -> str:
    """A horizontal bar a row that has a share; the line is the roof."""
    bars = [row for row in rows if row.share is not None]
    names = 7 * max([len(row.name) for row in bars], default=0) + 16
    width, step, top, roof = 400, 18, 40, 400 / 1.2
    height = top + step * len(bars) + 12
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{names + width + 60}" '
           f'height="{height}" font-family="monospace" font-size="11">',
           '<rect width="100%" height="100%" fill="#fff"/>',
           f'<text x="8" y="18" font-size="13">{escape(title)}</text>']
    for i, row in enumerate(bars):
        y, share = top + step * i, max(0.0, row.share or 0.0)
        out.append(f'<text x="{names - 8}" y="{y + 11}" text-anchor="end">{escape(row.name)}</text>')
        out.append(f'<rect x="{names}" y="{y}" width="{min(share, 1.2) * roof:.1f}" height="13" '
                   f'fill="{"#2a7" if share >= 0.6 else "#e90" if share >= 0.3 else "#c43"}"/>')
        out.append(f'<text x="{names + min(share, 1.2) * roof + 4:.1f}" y="{y + 11}">'
                   f"{100 * share:.0f}%</text>")
    x = names + roof
    out.append(f'<line x1="{x:.1f}" y1="{top - 6}" x2="{x:.1f}" y2="{height - 8}" stroke="#555" '
               'stroke-dasharray="3,3"/>')
    return "\n".join([*out, "</svg>", ""])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("json", type=Path, help="of msd-bench --benchmark_out=FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="default: printed")
    parser.add_argument("--svg", type=Path, metavar="FILE")
    parser.add_argument("--title", default="")
    args = parser.parse_args()
    try:
        report = json.loads(args.json.read_text())
        rows, failed = read(report)
        failed = list(dict.fromkeys(failed))
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"render_bench: {args.json}: {error}")
    if args.markdown:
        args.markdown.write_text(markdown(rows))
    else:
        print(markdown(rows), end="")
    if args.svg:
        title = args.title or f"{args.json.stem}: share of the roof"
        args.svg.write_text(svg(rows, title))
    for message in failed[:10]:
        print(f"render_bench: {message}", file=sys.stderr)
    if len(failed) > 10:
        print(f"render_bench: and {len(failed) - 10} more failed", file=sys.stderr)
    sys.exit(1 if failed or not rows else 0)


if __name__ == "__main__":
    main()
