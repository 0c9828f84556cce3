#!/usr/bin/env python3
"""Proves that clippy refuses arithmetic on instants and durations in every crate below src/, and that nothing there is let off but the
suite. That the lint then sees such arithmetic is shown by the expectations in src/backend/after.rs, which clippy.toml could undo."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
LINT = "clippy::arithmetic_side_effects"
ON = re.compile(r"^#!\[(?:cfg_attr\(not\(test\), )?deny\(clippy::arithmetic_side_effects\)\)?\]$", re.MULTILINE)
OFF = re.compile(r"\b(?:allow|warn|expect)\([^)]*clippy::arithmetic_side_effects")
# What lets it off, and how often.
LET_OFF = {"src/lib.rs": 1, "src/backend/after.rs": 3}


def problems(sources: dict[str, str]) -> list[str]:
    found = []
    for name, text in sorted(sources.items()):
        if (name == "src/lib.rs" or name.startswith("src/bin/")) and not ON.search(text):
            found.append(f"{name}: {LINT} is not denied")
        off = len(OFF.findall(text))
        if off != LET_OFF.get(name, 0):
            found.append(f"{name}: {LINT} is let off {off} times, not {LET_OFF.get(name, 0)}")
    return found


def self_test() -> None:
    deny = f"#![deny({LINT})]\n"
    good = {"src/lib.rs": f"#![cfg_attr(not(test), deny({LINT}))]\n#[allow({LINT})]\n", "src/bin/a.rs": deny, "src/b.rs": "",
            "src/backend/after.rs": f"#[expect(dead_code, {LINT})]\n" * 3}
    assert problems(good) == [], problems(good)
    for name, text in [("src/lib.rs", ""), ("src/lib.rs", f"// {deny}#[allow({LINT})]"), ("src/bin/a.rs", ""),
                       ("src/b.rs", f"#[allow(dead_code, {LINT})]"), ("src/b.rs", f"#![allow({LINT})]"), ("src/backend/after.rs", "")]:
        assert len(problems({**good, name: text})) >= 1, (name, text)


def main() -> int:
    self_test()
    paths = sorted((ROOT / "src").rglob("*.rs"))
    sources = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    found = problems(sources)
    for problem in found:
        print(problem, file=sys.stderr)
    print(f"arithmetic on times: refused in {len(sources)} files, let off in {len(LET_OFF)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
