#!/usr/bin/env python3
"""Proves which crates and features each feature set brings in, and counts the crates."""

import re
import subprocess
import sys

# Crates that reach a service, and what they are made of.
SERVICE = re.compile(r"^(azure_.*|typespec.*|reqwest|hyper)$")
# The SDK's parts that must not reach production: creating resources needs keys, and an emulator is no service.
NOT_IN_PRODUCTION = {"control_plane", "__internal_in_memory_emulator"}


def tree(*features: str) -> list[tuple[str, str, set[str]]]:
    """Name, version and enabled features of every crate that a build links, our own included."""
    command = ["cargo", "tree", "--locked", "-e", "normal", "--prefix", "none", "--no-dedupe", "-f", "{p}|{f}"]
    if features:
        command += ["--features", ",".join(features)]
    return parse(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def parse(text: str) -> list[tuple[str, str, set[str]]]:
    crates = set()
    for line in text.splitlines():
        package, _, features = line.partition("|")
        name, version, *_ = package.split()
        crates.add((name, version, frozenset(filter(None, features.split(",")))))
    return sorted((name, version, set(features)) for name, version, features in crates)


def problems_without_azure(crates) -> list[str]:
    return [f"{name} {version} is there without `azure`" for name, version, _ in crates if SERVICE.match(name)]


def problems_with_azure(crates) -> list[str]:
    found = [
        f"{name} {version} has the feature `{feature}` with `azure` alone"
        for name, version, features in crates
        if name.startswith("azure_data_cosmos")
        for feature in sorted(features & NOT_IN_PRODUCTION)
    ]
    found += [f"{name} {version} is there with `azure`" for name, version, _ in crates if name == "azure_data_tables"]
    cores = sorted({version for name, version, _ in crates if name == "azure_core"})
    if len(cores) != 1:
        found.append(f"one azure_core is expected, there are {cores or 'none'}")
    return found


def self_test() -> None:
    """A planted crate, feature, or second version is found."""
    clean = "openjibo-store v0.1.0 (/somewhere)|\nbytes v1.0.0|default,std\n"
    azure = clean + "azure_core v1.1.0|reqwest\nazure_data_cosmos v1.0.0|key_auth\nazure_data_cosmos_driver v1.0.0|\n"
    assert not problems_without_azure(parse(clean))
    for planted in ["azure_core v1.1.0|", "typespec_client_core v1.0.0|", "reqwest v0.12.0|", "hyper v1.0.0|"]:
        assert len(problems_without_azure(parse(clean + planted))) == 1, planted
    assert not problems_with_azure(parse(azure))
    for planted in [
        "azure_data_cosmos v1.0.1|control_plane,key_auth",
        "azure_data_cosmos_driver v1.0.1|__internal_in_memory_emulator",
        "azure_data_tables v0.21.0|",
        "azure_core v0.21.0|",
    ]:
        assert len(problems_with_azure(parse(azure + planted))) == 1, planted


def main() -> int:
    self_test()
    without, azure = tree(), tree("azure")
    problems = problems_without_azure(without)
    for feature in ("conformance", "cli", "journal"):
        problems += [f"{problem} but `{feature}`" for problem in problems_without_azure(tree(feature))]
    problems += problems_with_azure(azure)
    for problem in problems:
        print(f"dependencies: {problem}", file=sys.stderr)
    count = len({(name, version) for name, version, _ in without}) - 1
    count_azure = len({(name, version) for name, version, _ in azure}) - 1
    print(f"dependencies: {count} crates without `azure`, {count_azure} with it; {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
