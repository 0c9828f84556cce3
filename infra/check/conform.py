"""Whether a value is of its declared type."""

import syntax
from syntax import Problem, literal, named, properties, text


def conform(value, node, types: dict, decorators: dict, path: str) -> list[str]:
    """How a value breaks its type: what Azure Resource Manager refuses before it deploys anything."""
    kind = node.type
    inner = named(node)
    if kind in ("type", "parenthesized_type", "parenthesized_expression") and len(inner) == 1 and inner[0].type != "primitive_type":
        return conform(value, inner[0], types, decorators, path)
    if kind == "nullable_type":
        return [] if value is None else conform(value, inner[0], types, decorators, path)
    if kind == "identifier":
        declared = types[text(node)]
        return conform(value, declared.value, types, {**declared.decorators, **decorators}, path)
    found = []
    if kind == "string":
        return [] if value == literal(node) else [f"{path}: {value!r} is not {literal(node)!r}"]
    if kind == "array_type":
        if not isinstance(value, list):
            return [f"{path}: not an array"]
        for i, item in enumerate(value):
            found += conform(item, inner[0], types, {}, f"{path}[{i}]")
    elif kind == "union_type":
        if "discriminator" in decorators:
            key = literal(decorators["discriminator"][0])
            for member in inner:
                declared = types[text(member)]
                tag = literal(properties(declared.value)[key])
                if isinstance(value, dict) and value.get(key) == tag:
                    return conform(value, declared.value, types, declared.decorators, path)
            return [f"{path}.{key}: none of the types of the union"]
        if all(conform(value, member, types, {}, path) for member in inner):
            return [f"{path}: {value!r} is not one of {text(node)}"]
    elif kind == "object":
        if not isinstance(value, dict):
            return [f"{path}: not an object"]
        expected, notes = {}, {}
        pending: dict = {}
        for child in named(node):
            if child.type == "decorators":
                pending = syntax.decorators_of(child)
            else:
                key, of = named(child)
                expected[text(key)], notes[text(key)] = of, pending
                pending = {}
        for key, of in expected.items():
            if key in value:
                found += conform(value[key], of, types, notes[key], f"{path}.{key}")
            elif of.type != "nullable_type":
                found.append(f"{path}.{key}: is missing")
        if "sealed" in decorators:
            found += [f"{path}.{key}: is not known" for key in value if key not in expected]
    else:
        word = text(node)
        kinds = {"string": str, "int": int, "bool": bool, "object": dict, "array": list}
        if word not in kinds:
            raise Problem(f"{path}: the type {word} is not known to these checks")
        if not isinstance(value, kinds[word]) or (word == "int" and isinstance(value, bool)):
            return [f"{path}: {value!r} is not of type {word}"]
    limits = {"minLength": (len, 1), "maxLength": (len, -1), "minValue": (int, 1), "maxValue": (int, -1)}
    for name, (measure, sign) in limits.items():
        if name in decorators:
            bound = int(text(decorators[name][0]))
            if sign * (measure(value) - bound) < 0:
                found.append(f"{path}: {measure(value)} is against {name} {bound}")
    if "allowed" in decorators:
        allowed = [literal(item) for item in named(decorators["allowed"][0])]
        if value not in allowed:
            found.append(f"{path}: {value!r} is not one of {allowed}")
    return found
