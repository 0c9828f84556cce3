#!/usr/bin/env python3
"""Proves that no public item names a type of a service's SDK or of HTTP: signatures, bounds, fields, associated types,
re-exports and impl headers, `impl From<azure_core::Error>` included. Reads rustdoc's JSON form of all features."""

import json
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
CRATE = "openjibo_store"
FORBIDDEN = re.compile(r"^(azure_.*|typespec.*|reqwest|hyper.*|http|axum.*|url)$")


def rustdoc_json() -> dict:
    """Documents the library. The example only brings the dependencies' features of the tests, so that none is built again."""
    environment = {
        **os.environ,
        "RUSTDOC": str(HERE / "rustdoc_unstable.sh"),
        "RUSTDOCFLAGS": "-Z unstable-options --output-format json",
    }
    command = ["cargo", "doc", "--locked", "--all-features", "--no-deps", "--lib", "--example", "cloud_host"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    metadata = ["cargo", "metadata", "--locked", "--no-deps", "--format-version", "1"]
    target = json.loads(subprocess.run(metadata, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)["target_directory"]
    return json.loads((pathlib.Path(target) / "doc" / f"{CRATE}.json").read_text(encoding="utf-8"))


def references(value):
    """Every path to a type, trait or re-exported item inside an item: its id and its text."""
    if isinstance(value, list):
        for part in value:
            yield from references(part)
    elif isinstance(value, dict):
        text = value.get("path", value.get("source"))
        if isinstance(text, str) and "id" in value:
            yield value["id"], text
        for part in value.values():
            yield from references(part)


def is_own(item: dict) -> bool:
    """Blanket and auto trait impls are listed with our types, but written by others."""
    header = item["inner"].get("impl")
    return item["crate_id"] == 0 and not (header and (header.get("blanket_impl") or header.get("is_synthetic")))


def check(document: dict) -> tuple[int, set[str], list[str]]:
    """Items checked, other crates named, and leaks."""
    index, paths = document["index"], document["paths"]
    crates = {int(number): crate["name"] for number, crate in document["external_crates"].items()}
    checked, named, leaks = 0, set(), []
    for item in filter(is_own, index.values()):
        checked += 1
        for target, text in references(item["inner"]):
            summary = paths.get(str(target))
            if summary is not None:
                crate = CRATE if summary["crate_id"] == 0 else crates[summary["crate_id"]]
                text = "::".join(summary["path"])
            elif str(target) in index:
                crate = CRATE
            else:
                crate = text.removeprefix("::").split("::")[0]
            if crate != CRATE:
                named.add(crate)
            if FORBIDDEN.match(crate):
                place = item.get("span") or {}
                line = place.get("begin", ["?"])[0]
                leaks.append(f"{place.get('filename', '?')}:{line}: {item['name'] or 'an impl'} names {text} of {crate}")
    return checked, named, leaks


def self_test() -> None:
    """A planted leak is found in each kind of place; what others wrote is not one."""
    external = {"1": {"name": "azure_core"}, "2": {"name": "bytes"}}
    paths = {
        "7": {"crate_id": 1, "path": ["azure_core", "error", "Error"]},
        "8": {"crate_id": 2, "path": ["bytes", "Bytes"]},
        "9": {"crate_id": 0, "path": [CRATE, "StoreError"]},
    }
    leak = {"resolved_path": {"path": "Error", "id": 7, "args": None}}
    fine = {"resolved_path": {"path": "Bytes", "id": 8, "args": None}}
    own = {"resolved_path": {"path": "StoreError", "id": 9, "args": None}}
    from_leak = {"path": "From", "id": 5, "args": {"angle_bracketed": {"args": [{"type": leak}], "constraints": []}}}
    header = {"trait": from_leak, "for": own, "is_synthetic": False, "blanket_impl": None}
    bound = {"generics": {"params": [], "where_predicates": [{"bound_predicate": {"bounds": [
        {"trait_bound": {"trait": {"path": "azure_core::Policy", "id": 7, "args": None}}}]}}]}}

    def leaks(inner: dict, crate: int = 0) -> int:
        item = {"crate_id": crate, "name": "x", "inner": inner, "span": None}
        return len(check({"index": {"1": item}, "paths": paths, "external_crates": external})[2])

    planted = [
        {"struct_field": leak},
        {"function": {"sig": {"inputs": [["a", {"borrowed_ref": {"type": leak}}]], "output": None}}},
        {"function": {"sig": {"inputs": [], "output": leak}}},
        {"function": bound},
        {"assoc_type": {"type": leak}},
        {"impl": header},
        {"use": {"source": "azure_core::Error", "name": "Error", "id": 7, "is_glob": False}},
        {"use": {"source": "azure_core::http", "name": "http", "id": 99, "is_glob": True}},
        {"type_alias": {"type": leak}},
        {"constant": {"type": leak}},
    ]
    for inner in planted:
        assert leaks(inner) == 1, inner
    assert leaks({"struct_field": fine}) == leaks({"struct_field": own}) == 0
    assert leaks({"impl": {**header, "blanket_impl": {"generic": "T"}}}) == 0
    assert leaks({"impl": {**header, "is_synthetic": True}}) == 0
    assert leaks({"struct_field": leak}, crate=1) == 0


def main() -> int:
    self_test()
    checked, named, found = check(rustdoc_json())
    for leak in found:
        print(f"public API: {leak}", file=sys.stderr)
    print(f"public API: {checked} items checked, {len(found)} leaks; other crates named: {', '.join(sorted(named))}")
    return 1 if found or checked == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
