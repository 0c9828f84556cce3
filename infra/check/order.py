"""What waits for what: ids are computed, so Azure sees by itself only what names a module or resource by its symbol."""

import itertools
import json

from evaluate import Deployment, Files
from syntax import File, identifiers, text
from tables import ONE_AT_A_TIME


def before(template: File) -> dict[str, set]:
    """Of each module and resource of a template, all that are done before it."""
    parts = {**template.modules, **template.resources}

    def named_by(node, seen: frozenset) -> set:
        found = set()
        for name in identifiers(node):
            if name in parts:
                found.add(name)
            elif name in template.variables and name not in seen:
                found |= named_by(template.variables[name].value, seen | {name})
        return found

    direct = {name: named_by(part.value, frozenset()) for name, part in parts.items()}

    def reached(name: str, seen: set) -> set:
        for other in direct[name] - seen:
            seen.add(other)
            reached(other, seen)
        return seen

    return {name: reached(name, set()) for name in parts}


def one_at_a_time(files: Files) -> list[str]:
    """Loops and modules that would change an account twice at once."""
    found = []
    for file in files.all():
        for resource in file.resources.values():
            looped = resource.value.type == "for_statement" and resource.target.split("@")[0] in ONE_AT_A_TIME
            batch = resource.decorators.get("batchSize", [])
            if looped and [text(size) for size in batch] != ["1"]:
                found.append(f"{file.at(resource.node)}: {resource.name} are not made one at a time")
        earlier = before(file)
        busy = []
        for name, module in file.modules.items():
            resources = files.get((file.path.parent / module.target).resolve()).resources.values()
            if any(resource.target.split("@")[0] in ONE_AT_A_TIME for resource in resources if not resource.existing):
                busy.append(name)
        for one, other in itertools.combinations(busy, 2):
            if one not in earlier[other] and other not in earlier[one]:
                found.append(f"{file.name}: {one} and {other} are made at once")
    return found


def waits(deployment: Deployment) -> list[str]:
    """Resources that name another one which need not be there yet."""
    earlier = before(deployment.template)
    makers = [(resource.id, resource.part) for resource in deployment.resources]
    found = set()
    for resource in deployment.resources:
        named = json.dumps([resource.id, resource.body])
        for identity, part in makers:
            if part != resource.part and part not in earlier[resource.part] and identity in named:
                found.add(f"{deployment.template.name}: {resource.part} does not wait for {part}, and names {identity.rsplit('/', 1)[-1]}")
    return sorted(found)
