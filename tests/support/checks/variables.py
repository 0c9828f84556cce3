#!/usr/bin/env python3
"""Proves that docs/azure-variables.md has every variable that the Azure SDKs of Cargo.lock read, and none that they do not: a new version
can't bring one that undoes a promise unseen."""

import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "azure-variables.md"
CRATES = ("azure_data_cosmos", "azure_data_cosmos_driver", "azure_identity", "azure_core", "azure_storage_blob", "azure_storage_common")
# A variable's name as a whole literal.
LITERAL = re.compile(r'"((?:AZURE|COSMOS|IDENTITY|IMDS|MSI|SYSTEM)_[A-Z0-9_]+)"')
# What follows is a crate's own tests.
TESTS = re.compile(r"^#\[cfg\((?:all\()?test\b.*\]\n(?:pub(?:\(crate\))? )?mod \w+ \{", re.MULTILINE)
# Of their live tests and of helpers for tests: nothing that a client reads.
OTHER = {"AZURE_TEST_MODE", "AZURE_COSMOS_CONNECTION_POOL_", "AZURE_COSMOS_PPCB_"}
# Options whose name with this ending is read too.
OVERRIDABLE = re.compile(r'#\[option\(env = "([A-Z0-9_]+)", overridable\)\]')


def folder(name: str) -> pathlib.Path:
    """The locked version's source, as cargo keeps it."""
    lock = (ROOT / "Cargo.lock").read_text(encoding="utf-8")
    version = re.search(rf'^name = "{name}"\nversion = "(.+)"$', lock, re.MULTILINE)[1]
    home = pathlib.Path(os.environ.get("CARGO_HOME") or pathlib.Path.home() / ".cargo")
    found = list(home.glob(f"registry/src/*/{name}-{version}"))
    if not found:
        sys.exit(f"{name} {version} is not in {home}: `cargo fetch --locked` gets it")
    return found[0]


def read(source: str) -> set[str]:
    tests = TESTS.search(source)
    code = source[: tests.start()] if tests else source
    return set(LITERAL.findall(code)) | {f"{name}_OVERRIDE" for name in OVERRIDABLE.findall(code)}


def main() -> int:
    names: set[str] = set()
    for crate in CRATES:
        for path in sorted((folder(crate) / "src").rglob("*.rs")):
            if "test" not in path.stem:
                names |= read(path.read_text(encoding="utf-8"))
    names -= OTHER
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    listed = [name for row in rows for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", row.split("|")[1])]
    problems = [f"{name} is read by an SDK and not listed" for name in sorted(names - set(listed))]
    problems += [f"{name} is listed and read by no SDK" for name in sorted(set(listed) - names)]
    problems += [f"{name} is listed twice" for name in sorted({name for name in listed if listed.count(name) > 1})]
    for problem in problems:
        print(f"docs/azure-variables.md: {problem}")
    if len(names) < 50:
        problems.append("too few")
        print(f"only {len(names)} variables were found in the SDKs' sources: has their form changed?")
    print(f"variables of the SDKs: {len(names)}, all listed" if not problems else "variables of the SDKs: not as listed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
