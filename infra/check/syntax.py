"""Bicep files as syntax trees, by the tree-sitter grammar.

A parameter file differs from a template in two statements, `using` and `param name = value`, which the grammar does not know: they are
blanked and read as `var`, byte for byte, so that positions stay true.
"""

import dataclasses
import pathlib
import re

import tree_sitter
import tree_sitter_bicep

PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bicep.language()))
USING = re.compile(r"^using '([^']+)'", re.MULTILINE)


class Problem(Exception):
    """What is wrong, and where."""


def text(node) -> str:
    return node.text.decode("utf-8")


def named(node) -> list:
    return [child for child in node.named_children if child.type != "comment"]


def has_token(node, token: str) -> bool:
    return any(child.type == token for child in node.children)


@dataclasses.dataclass
class Declaration:
    name: str
    node: object
    decorators: dict  # name of the decorator -> nodes of its arguments
    type: object = None  # type node of a parameter or output
    value: object = None  # expression, body of a resource or module, type expression
    target: str = ""  # `Type@version` of a resource, path of a module
    existing: bool = False


@dataclasses.dataclass
class File:
    path: pathlib.Path
    root: object
    source: str
    using: str = ""
    params: dict = dataclasses.field(default_factory=dict)
    variables: dict = dataclasses.field(default_factory=dict)
    outputs: dict = dataclasses.field(default_factory=dict)
    types: dict = dataclasses.field(default_factory=dict)
    resources: dict = dataclasses.field(default_factory=dict)
    modules: dict = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.path.name

    def at(self, node) -> str:
        return f"{self.path.name}:{node.start_point[0] + 1}"


def errors(node) -> list:
    if not node.has_error:
        return []
    found = [node] if node.type == "ERROR" or node.is_missing else []
    for child in node.children:
        found.extend(errors(child))
    return found or [node]


def decorators_of(node) -> dict:
    found = {}
    for decorator in named(node):
        call = named(decorator)[0]
        name, arguments = named(call)[0], named(call)[1:]
        found[text(name).removeprefix("sys.")] = named(arguments[0]) if arguments else []
    return found


def literal(node) -> str:
    """The text of a string without interpolation."""
    parts = named(node)
    if node.type != "string" or any(part.type == "interpolation" for part in parts):
        raise Problem(f"not a plain string: {text(node)}")
    return "".join(text(part) for part in parts)


def parse(path: pathlib.Path, source: str | None = None) -> File:
    source = path.read_text(encoding="utf-8") if source is None else source
    readable, using = source, ""
    if path.suffix == ".bicepparam":
        match = USING.search(source)
        if not match:
            raise Problem(f"{path.name}: no `using`")
        using = match.group(1)
        readable = USING.sub(lambda m: " " * len(m.group(0)), source)
        readable = re.sub(r"^param ", "var   ", readable, flags=re.MULTILINE)
    root = PARSER.parse(readable.encode("utf-8")).root_node
    wrong = errors(root)
    if wrong:
        places = ", ".join(f"{path.name}:{node.start_point[0] + 1}" for node in wrong)
        raise Problem(f"{places}: not Bicep: {text(wrong[0])[:60]!r}")
    file = File(path, root, source, using)
    decorators: dict = {}
    for node in named(root):
        if node.type == "decorators":
            decorators = decorators_of(node)
            continue
        declare(file, node, decorators)
        decorators = {}
    return file


def declare(file: File, node, decorators: dict) -> None:
    parts = named(node)
    kinds = {
        "parameter_declaration": file.params,
        "variable_declaration": file.variables,
        "output_declaration": file.outputs,
        "type_declaration": file.types,
        "resource_declaration": file.resources,
        "module_declaration": file.modules,
    }
    if node.type == "target_scope_assignment":
        return
    if node.type not in kinds:
        raise Problem(f"{file.at(node)}: a {node.type} is not known to these checks")
    declaration = Declaration(text(parts[0]), node, decorators)
    if node.type == "parameter_declaration":
        declaration.type = parts[1]
        declaration.value = parts[2] if len(parts) > 2 else None
    elif node.type == "output_declaration":
        declaration.type, declaration.value = parts[1], parts[2]
    elif node.type in ("variable_declaration", "type_declaration"):
        declaration.value = parts[1]
    else:
        declaration.target = literal(parts[1])
        declaration.value = parts[2]
        declaration.existing = has_token(node, "existing")
    known = kinds[node.type]
    if declaration.name in known:
        raise Problem(f"{file.at(node)}: {declaration.name} is declared twice")
    known[declaration.name] = declaration


def properties(node) -> dict:
    """Keys of an object and their value nodes."""
    found = {}
    for child in named(node):
        if child.type == "decorators":
            continue
        if child.type != "object_property":
            raise Problem(f"a {child.type} in an object is not known to these checks")
        key, value = named(child)
        name = literal(key) if key.type == "string" else text(key)
        if name in found:
            raise Problem(f"{name} is given twice")
        found[name] = value
    return found


def identifiers(node) -> list[str]:
    """Every name that is used below a node: not keys of objects, not properties, not what a declaration declares."""
    found = []
    declares = node.type.endswith("_declaration")
    for i, child in enumerate(named(node)):
        key = i == 0 and (declares or node.type == "object_property")
        if child.type == "identifier" and not key:
            found.append(text(child))
        elif not (key and child.type == "identifier"):
            found.extend(identifiers(child))
    return found
