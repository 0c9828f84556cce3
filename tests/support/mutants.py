#!/usr/bin/env python3
"""Prints the table of the mutation runs below a folder: caught, missed and unviable mutants of each, and each one missed."""

import json
import pathlib
import sys


def main() -> int:
    missed = []
    print("| run | caught | missed | unviable | of |\n|---|---|---|---|---|")
    for report in sorted(pathlib.Path(sys.argv[1]).glob("*/mutants.out/outcomes.json")):
        outcomes = json.loads(report.read_text(encoding="utf-8"))
        # A mutant that never ends is noticed by every one who waits for the tests.
        caught = outcomes["caught"] + outcomes["timeout"]
        run = report.parts[-3]
        print(f"| {run} | {caught} | {outcomes['missed']} | {outcomes['unviable']} | {outcomes['total_mutants']} |")
        missed += [o["scenario"]["Mutant"]["name"] for o in outcomes["outcomes"] if o["summary"] == "MissedMutant"]
    print("\n".join(["", *missed]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
