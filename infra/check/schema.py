"""Every property that would be sent, against check/types.json."""

KINDS = {"text": str, "bool": bool, "int": int, "number": (int, float)}


def flat(value, path: str = ""):
    """(path, value) of every leaf; an empty array or object is none."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flat(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for item in value:
            yield from flat(item, f"{path}[]")
    elif value is not None:
        yield path, value


def fold(path: str, known: dict) -> str:
    """The path as the list writes it: a map's keys are `{}`."""
    for entry in known:
        if "{}" not in entry:
            continue
        head, _, tail = entry.partition("{}")
        if path.startswith(f"{head}."):
            rest = path[len(head) + 1 :]
            if (not tail and "." not in rest) or (tail and rest.endswith(tail) and "." not in rest[: -len(tail)]):
                return entry
    return path


def problems(resource, types: dict) -> list[str]:
    where = f"{resource.declared}: {resource.type}"
    entry = types.get(f"{resource.type}@{resource.version}")
    if entry is None:
        return [f"{where}@{resource.version} is not in check/types.json"]
    known = entry["properties"]
    found, seen = [], set()
    for path, value in flat(resource.body):
        name = fold(path, known)
        seen.add(name)
        if name not in known:
            found.append(f"{where} has no property {path}")
            continue
        kind = known[name]
        if isinstance(kind, list):
            if value not in kind:
                found.append(f"{where}: {path} can not be {value!r}")
        elif not isinstance(value, KINDS[kind]) or (kind in ("int", "number") and isinstance(value, bool)):
            found.append(f"{where}: {path} is not of kind {kind}: {value!r}")
    return found + [f"{where}: {name} is missing" for name in entry["required"] if name not in seen]
