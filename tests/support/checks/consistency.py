#!/usr/bin/env python3
"""Proves that docs/consistency.md is true to the tests: each promise, a list item or a row of a table, names at least one test, and
each test that it names exists."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "consistency.md"
# A test's name is a sentence in snake case, maybe behind its modules.
NAME = re.compile(r"`(?:[a-z_]+::)*([a-z0-9]+(?:_[a-z0-9]+){2,})`")
FUNCTION = re.compile(r"^\s*(?:pub(?:\([a-z]+\))? )?(?:async )?fn ([a-z0-9_]+)\b", re.MULTILINE)


def tests() -> set[str]:
    names = set()
    for path in [*ROOT.glob("src/**/*.rs"), *ROOT.glob("tests/**/*.rs")]:
        text = path.read_text(encoding="utf-8")
        if "#[test]" in text or "::test" in text or path.is_relative_to(ROOT / "src" / "conformance"):
            names.update(FUNCTION.findall(text))
    return names


def promises(text: str) -> list[tuple[int, str]]:
    """Each list item and table row, with the line that it begins at; a head row and its rule are none."""
    found: list[tuple[int, str]] = []
    lines = text.splitlines()
    inside = False
    for number, line in enumerate(lines, start=1):
        following = lines[number] if number < len(lines) else ""
        if line.startswith("|"):
            rule = set(line) <= set("|-: ")
            head = following.startswith("|") and set(following) <= set("|-: ")
            if not rule and not head:
                found.append((number, line))
            inside = False
        elif line.startswith(("* ", "- ")):
            found.append((number, line))
            inside = True
        elif inside and line.startswith("  "):
            found[-1] = (found[-1][0], found[-1][1] + "\n" + line)
        else:
            inside = False
    return found


def problems(text: str, known: set[str]) -> list[str]:
    found = []
    for number, promise in promises(text):
        named = NAME.findall(promise)
        if not named:
            found.append(f"line {number}: no test is named")
        found.extend(f"line {number}: there is no test {name}" for name in named if name not in known)
    return found


def self_test() -> None:
    known = {"a_stale_write_changes_nothing"}
    good = "* A promise,\n  `it::a_stale_write_changes_nothing`.\n\n| call | test |\n|---|---|\n| x | `a_stale_write_changes_nothing` |\n"
    assert problems(good, known) == [], problems(good, known)
    assert len(promises(good)) == 2
    assert problems("* A promise without a test.", known) == ["line 1: no test is named"]
    assert problems("| x | `a_test_of_nothing` |", known) == ["line 1: there is no test a_test_of_nothing"]


def main() -> int:
    self_test()
    text = PAGE.read_text(encoding="utf-8")
    found = problems(text, tests())
    for problem in found:
        print(f"docs/consistency.md: {problem}", file=sys.stderr)
    print(f"docs/consistency.md: {len(promises(text))} promises, {len(set(NAME.findall(text)))} tests named")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
