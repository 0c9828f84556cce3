"""What can be seen wrong in the files themselves, without deploying anything."""

import pathlib

from evaluate import Files
from syntax import File, Problem, identifiers, named, properties, text

DECLARED = ("params", "variables", "types", "resources", "modules", "outputs")


def unused(file: File) -> list[str]:
    """Parameters, variables, types and existing resources that nothing in the file uses."""
    if file.using:
        return []
    uses = identifiers(file.root)
    found = []
    for kind in ("params", "variables", "types"):
        for declaration in getattr(file, kind).values():
            if declaration.name not in uses:
                found.append(f"{file.at(declaration.node)}: {kind.rstrip('s')} {declaration.name} is not used")
    for declaration in file.resources.values():
        if declaration.existing and declaration.name not in uses:
            found.append(f"{file.at(declaration.node)}: existing resource {declaration.name} is not used")
    return found


def members(node) -> list[tuple]:
    """Chains of names, `a.b.c`, below a node."""
    found = []
    if node.type == "member_expression":
        chain, inner = [], node
        while inner.type in ("member_expression", "subscript_expression"):
            parts = named(inner)
            if inner.type == "member_expression":
                chain.append(text(parts[1]))
            inner = parts[0]
        found.append((text(inner), *reversed(chain)))
    for child in named(node):
        found.extend(members(child))
    return found


def unused_outputs(files: Files) -> list[str]:
    """Outputs of modules that no template takes; those of what is deployed are for its user."""
    taken = set()
    modules = set()
    for file in files.all():
        for chain in members(file.root):
            if chain[0] in file.modules and len(chain) > 2 and chain[1] == "outputs":
                taken.add(((file.path.parent / file.modules[chain[0]].target).resolve(), chain[2]))
        modules.update((file.path.parent / module.target).resolve() for module in file.modules.values())
    found = []
    for path in sorted(modules):
        file = files.get(path)
        for name, output in file.outputs.items():
            if (path, name) not in taken:
                found.append(f"{file.at(output.node)}: output {name} is not used")
    return found


def orphans(files: Files) -> list[str]:
    """Modules that nothing uses, and templates without a parameter file."""
    templates = files.templates()
    used = {(file.path.parent / module.target).resolve() for file in files.all() for module in file.modules.values()}
    found = [f"{file.name}: no template uses it" for file in files.all() if not file.using and file not in templates and file.path.resolve() not in used]
    return found + [f"{file.name}: no parameter file is for it" for file in templates if not files.parameter_files(file)]


def required(template: File) -> set[str]:
    found = set()
    for name, declaration in template.params.items():
        optional = declaration.value is not None or named(declaration.type)[0].type == "nullable_type"
        if not optional:
            found.add(name)
    return found


def mismatched(where: str, given: set[str], template: File) -> list[str]:
    """Parameters that a call or a parameter file leaves out, or that do not exist."""
    missing = sorted(required(template) - given)
    unknown = sorted(given - set(template.params))
    return [f"{where}: parameter {name} is missing" for name in missing] + [
        f"{where}: there is no parameter {name}" for name in unknown
    ]


def parameters(files: Files) -> list[str]:
    found = []
    for file in files.all():
        if file.using:
            template = files.get((file.path.parent / file.using).resolve())
            found += mismatched(file.name, set(file.variables), template)
        for module in file.modules.values():
            body = module.value
            if body.type == "for_statement":
                body = named(body)[-1]
            if body.type == "if_statement":
                body = named(body)[-1]
            given = properties(body)
            if "params" not in given:
                raise Problem(f"{file.at(module.node)}: no params")
            template = files.get((file.path.parent / module.target).resolve())
            found += mismatched(file.at(module.node), set(properties(given["params"])), template)
    return found


def versions(files: Files, types: dict) -> list[str]:
    """Types and API versions that are not on the list, and what is on the list and nowhere used."""
    used = set()
    found = []
    for file in files.all():
        for resource in file.resources.values():
            used.add(resource.target)
            if resource.target not in types:
                found.append(f"{file.at(resource.node)}: {resource.target} is not in check/types.json")
    return found + [f"check/types.json: {name} is not used" for name in sorted(set(types) - used)]


def secrets(files: Files) -> list[str]:
    """Ways for a secret to get into a parameter, an output or the history of deployments."""
    found = []
    for file in files.all():
        for chain in members(file.root):
            if any(name.startswith("list") and name[4:5].isupper() for name in chain):
                found.append(f"{file.name}: {'.'.join(chain)} asks for keys")
        for name in identifiers(file.root):
            if name.startswith("list") and name[4:5].isupper():
                found.append(f"{file.name}: {name} asks for keys")
            if name in ("getSecret", "newGuid"):
                found.append(f"{file.name}: {name} is not for these files")
        for declaration in file.params.values():
            if "secure" in declaration.decorators:
                found.append(f"{file.at(declaration.node)}: {declaration.name} is a secret parameter")
        for name in [*file.params, *file.outputs]:
            words = name.lower()
            if any(word in words for word in ("secret", "password", "connectionstring", "sastoken", "accountkey", "cosmos_key")):
                found.append(f"{file.name}: {name} is named like a secret")
    return found


def steady(files: Files) -> list[str]:
    """Functions that give something else on each deployment."""
    return [
        f"{file.name}: {name} is another on each deployment"
        for file in files.all()
        for name in identifiers(file.root)
        if name in ("utcNow", "newGuid", "deployment")
    ]


def unexplained(files: Files) -> list[str]:
    """Skips of checkov without a reason beside them."""
    found = []
    for path in files.paths():
        source = files.get(path).source
        for number, line in enumerate(source.splitlines(), start=1):
            if "checkov:skip=" in line:
                reason = line.split("checkov:skip=")[1].partition(":")[2].strip()
                if len(reason) < 20:
                    found.append(f"{pathlib.PurePath(path).name}:{number}: a skip without a reason")
    return found


def all_rules(files: Files, types: dict) -> list[str]:
    found = []
    for file in files.all():
        found += unused(file)
    for rule in (unused_outputs, orphans, parameters, secrets, steady, unexplained):
        found += rule(files)
    return found + versions(files, types)

