#!/usr/bin/env python3
"""Prints how many source files there are, and how long."""

import pathlib
import statistics

ROOT = pathlib.Path(__file__).resolve().parents[3]


def is_test(path: pathlib.Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return parts[0] == "tests" or "tests" in parts[1:-1] or path.name == "tests.rs"


def show(title: str, files: list[pathlib.Path]) -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    longest = max(lengths, key=lengths.get)
    print(
        f"{title}: {len(files)} files, {sum(lengths.values())} lines, median {statistics.median(lengths.values()):.0f}, "
        f"longest {lengths[longest]} ({longest.relative_to(ROOT)})"
    )


sources = sorted([*ROOT.glob("src/**/*.rs"), *ROOT.glob("tests/**/*.rs")])
show("sources", [path for path in sources if not is_test(path)])
show("tests", [path for path in sources if is_test(path)])
