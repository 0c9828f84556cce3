"""What a deployment would be: every resource and output of a parameter file, with loops, conditions and expressions worked out.

Only what these files use is known; anything else is a problem, not a guess. What Azure alone knows (ids, end points) is made up in the
form that Azure gives it.
"""

import dataclasses
import pathlib
import uuid

import syntax
from conform import conform
from functions import Functions, Place
from syntax import Problem, has_token, named, properties, text


@dataclasses.dataclass
class Resource:
    type: str
    version: str
    name: str
    id: str
    body: dict
    declared: str  # file:line
    existing: bool = False
    part: str = ""  # the module or resource of the template that it comes from

    def get(self, name: str):
        if name == "properties":
            return Runtime(self)
        if name in ("id", "name", "type"):
            return getattr(self, name)
        return self.body[name]


class Runtime:
    """Properties that only the service knows."""

    def __init__(self, resource: Resource, path: tuple = ()):
        self.resource, self.path = resource, path

    def get(self, name: str):
        path = (*self.path, name)
        account = self.resource.name
        known = {
            ("documentEndpoint",): f"https://{account}.documents.azure.com:443/",
            ("primaryEndpoints",): Runtime(self.resource, path),
            ("primaryEndpoints", "blob"): f"https://{account}.blob.core.windows.net/",
            ("primaryEndpoints", "table"): f"https://{account}.table.core.windows.net/",
            ("principalId",): str(uuid.uuid5(uuid.NAMESPACE_URL, f"{account}/principal")),
            ("clientId",): str(uuid.uuid5(uuid.NAMESPACE_URL, f"{account}/client")),
        }
        if path not in known:
            raise Problem(f"{self.resource.type} has no runtime property {'.'.join(path)} that these checks know")
        return known[path]


@dataclasses.dataclass
class Deployment:
    template: syntax.File
    place: Place
    parameters: dict
    resources: list
    outputs: dict


class Module:
    def __init__(self, deployment: Deployment | None):
        self.deployment = deployment

    def get(self, name: str):
        if name != "outputs":
            raise Problem(f"a module has no {name}")
        if self.deployment is None:
            raise Problem("an output of a module whose condition is false")
        return self.deployment.outputs


class Files:
    """All files, parsed once."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.replaced: dict[str, str] = {}
        self.parsed: dict[pathlib.Path, syntax.File] = {}

    def changed(self, name: str, source: str) -> "Files":
        """The same files with another text in one."""
        copy = Files(self.folder)
        copy.replaced = {name: source}
        copy.parsed = {path: file for path, file in self.parsed.items() if self.relative(path) != name}
        return copy

    def templates(self) -> list[syntax.File]:
        """What can be deployed: the templates beside the parameter files."""
        return [file for file in self.all() if file.path.parent == self.folder and not file.using]

    def parameter_files(self, template: syntax.File) -> list[syntax.File]:
        return [file for file in self.all() if file.using and (file.path.parent / file.using).resolve() == template.path.resolve()]

    def text(self, path: pathlib.Path) -> str:
        name = self.relative(pathlib.Path(path))
        return self.replaced[name] if name in self.replaced else path.read_text(encoding="utf-8")

    def paths(self) -> list[pathlib.Path]:
        found = [*self.folder.glob("*.bicep"), *self.folder.glob("*.bicepparam"), *self.folder.glob("modules/**/*.bicep")]
        return sorted(found)

    def relative(self, path: pathlib.Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def get(self, path: pathlib.Path) -> syntax.File:
        path = pathlib.Path(path)
        if path not in self.parsed:
            self.parsed[path] = syntax.parse(path, self.text(path))
        return self.parsed[path]

    def all(self) -> list[syntax.File]:
        return [self.get(path) for path in self.paths()]


class Scope(Functions):
    """One template with its parameters."""

    def __init__(self, files: Files, file: syntax.File, given: dict, place: Place):
        self.files, self.file, self.place = files, file, place
        self.values: dict = {}
        self.resources: list[Resource] = []
        self.params: dict = {}
        for name, value in given.items():
            if name not in file.params:
                raise Problem(f"{file.name}: there is no parameter {name}")
        for name, declared in file.params.items():
            if name in given:
                value = given[name]
            elif declared.value is not None:
                value = self.value(declared.value)
            elif syntax.named(declared.type)[0].type == "nullable_type":
                value = None
            else:
                raise Problem(f"{file.name}: the parameter {name} is not given")
            wrong = conform(value, declared.type, file.types, declared.decorators, name)
            if wrong:
                raise Problem(f"{file.name}: {'; '.join(wrong)}")
            self.params[name] = value

    def deploy(self) -> Deployment:
        for name in [*self.file.resources, *self.file.modules]:
            self.look_up(name)
        return Deployment(self.file, self.place, self.params, self.resources, {name: self.value(out.value) for name, out in self.file.outputs.items()})

    # Names

    def look_up(self, name: str):
        if name in self.values:
            return self.values[name]
        if name in self.params:
            return self.params[name]
        file = self.file
        if name in file.variables:
            result = self.value(file.variables[name].value)
        elif name in file.resources:
            result = self.each(file.resources[name], self.resource)
        elif name in file.modules:
            result = self.each(file.modules[name], self.module)
        else:
            raise Problem(f"{file.name}: {name} is not declared")
        self.values[name] = result
        return result

    def each(self, declared, make):
        """A resource or module: once, under a condition, or for each item."""
        node = declared.value
        if node.type == "for_statement":
            body, items = self.loop(node)
            return [self.inside(names, lambda inner, b=body: inner.once(declared, b, make)) for names in items]
        return self.once(declared, node, make)

    def once(self, declared, node, make):
        if node.type == "if_statement":
            condition, node = named(node)
            if not self.value(condition):
                return Module(None) if declared.target.endswith(".bicep") else None
        return getattr(self, make.__name__)(declared, node)

    def loop(self, node):
        variables, iterable, body = named(node)
        names = [text(part) for part in named(variables)] if variables.type == "for_loop_parameters" else [text(variables)]
        items = self.value(iterable)
        return body, [dict(zip(names, (item, i))) for i, item in enumerate(items)]

    def inside(self, names: dict, act):
        """Evaluates with more names: of a loop or a lambda."""
        shadowed = {name: self.values[name] for name in names if name in self.values}
        self.values.update(names)
        try:
            return act(self)
        finally:
            for name in names:
                del self.values[name]
            self.values.update(shadowed)

    def resource(self, declared, node) -> Resource:
        kind, version = declared.target.split("@")
        body = self.value(node, skip=("parent", "scope", "dependsOn"))
        nodes = properties(node)
        for other in named(nodes["dependsOn"]) if "dependsOn" in nodes else []:
            self.value(other)
        segments = kind.split("/")
        if "parent" in nodes:
            parent = self.value(nodes["parent"])
            if not kind.startswith(f"{parent.type}/") or len(segments) != len(parent.type.split("/")) + 1:
                raise Problem(f"{self.file.at(node)}: {kind} is not a child of {parent.type}")
            identity = f"{parent.id}/{segments[-1]}/{body['name']}"
        elif len(segments) != 2:
            raise Problem(f"{self.file.at(node)}: {kind} without a parent")
        else:
            scope = self.value(nodes["scope"]).id if "scope" in nodes else self.place.group
            identity = f"{scope}/providers/{kind}/{body['name']}"
        made = Resource(kind, version, body["name"], identity, body, self.file.at(declared.node), declared.existing, declared.name)
        if not declared.existing:
            self.resources.append(made)
        return made

    def module(self, declared, node) -> Module:
        body = self.value(node, skip=("dependsOn",))
        nodes = properties(node)
        for other in named(nodes["dependsOn"]) if "dependsOn" in nodes else []:
            self.value(other)
        unknown = set(body) - {"name", "params"}
        if unknown:
            raise Problem(f"{self.file.at(node)}: a module has no {sorted(unknown)}")
        file = self.files.get(self.file.path.parent / declared.target)
        deployment = Scope(self.files, file, body.get("params", {}), self.place).deploy()
        for resource in deployment.resources:
            resource.part = declared.name
        self.resources.extend(deployment.resources)
        return Module(deployment)

    # Expressions

    def value(self, node, skip: tuple = ()):
        handler = getattr(self, f"on_{node.type}", None)
        if handler is None:
            raise Problem(f"{self.file.at(node)}: a {node.type} is not known to these checks")
        return handler(node, skip) if skip else handler(node)

    def on_string(self, node):
        parts = []
        for part in named(node):
            if part.type == "interpolation":
                value = self.value(named(part)[0])
                if not isinstance(value, (str, int)):
                    raise Problem(f"{self.file.at(node)}: {text(part)} is not text")
                parts.append(str(value))
            else:
                parts.append(text(part).replace("\\'", "'"))
        return "".join(parts)

    def on_number(self, node):
        return int(text(node))

    def on_boolean(self, node):
        return text(node) == "true"

    def on_null(self, _node):
        return None

    def on_unary_expression(self, node):
        value = self.value(named(node)[0])
        return {"!": lambda: not value, "-": lambda: -value}[node.children[0].type]()

    def on_parenthesized_expression(self, node):
        return self.value(named(node)[0])

    def on_identifier(self, node):
        return self.look_up(text(node))

    def on_array(self, node):
        items, found, i = named(node), [], 0
        while i < len(items):
            # The grammar takes a call that is the first item for a name and something in parentheses.
            if i + 1 < len(items) and items[i].type == "identifier" and items[i].end_byte == items[i + 1].start_byte:
                found.append(self.split_call(text(items[i]), items[i + 1]))
                i += 1
            else:
                found.append(self.value(items[i]))
            i += 1
        return found

    def split_call(self, function: str, rest):
        """A call whose name was read apart; members may follow the parentheses."""
        if rest.type == "member_expression":
            of, name = named(rest)
            return self.member(rest, self.split_call(function, of), text(name), has_token(rest, ".?"))
        return self.call(rest, function, named(rest))

    def on_object(self, node, skip: tuple = ()):
        return {key: self.value(value) for key, value in properties(node).items() if key not in skip}

    def on_for_statement(self, node):
        body, items = self.loop(node)
        return [self.inside(names, lambda inner: inner.value(body)) for names in items]

    def on_ternary_expression(self, node):
        condition, yes, no = named(node)
        return self.value(yes if self.value(condition) else no)

    def on_binary_expression(self, node):
        left, right = named(node)
        operator = next(child.type for child in node.children if not child.is_named)
        first = self.value(left)
        if operator == "??":
            return self.value(right) if first is None else first
        if operator == "&&":
            return first and self.value(right)
        if operator == "||":
            return first or self.value(right)
        second = self.value(right)
        known = {"==": lambda: first == second, "!=": lambda: first != second, "+": lambda: first + second, "*": lambda: first * second}
        if operator not in known:
            raise Problem(f"{self.file.at(node)}: the operator {operator} is not known to these checks")
        return known[operator]()

    def on_member_expression(self, node):
        of, name = named(node)
        return self.member(node, self.value(of), text(name), has_token(node, ".?"))

    def on_subscript_expression(self, node):
        of, index = named(node)
        value, key = self.value(of), self.value(index)
        if isinstance(value, list):
            return value[key]
        return self.member(node, value, key, False)

    def member(self, node, value, name: str, safe: bool):
        if value is None and safe:
            return None
        if isinstance(value, dict):
            if name not in value and not safe:
                raise Problem(f"{self.file.at(node)}: {text(node)}: there is no {name}")
            return value.get(name)
        if not hasattr(value, "get"):
            raise Problem(f"{self.file.at(node)}: {text(node)} is {value!r}")
        return value.get(name)

    # Functions

    def on_call_expression(self, node):
        name, arguments = named(node)
        return self.call(node, text(name), named(arguments))

    def call(self, node, name: str, arguments: list):
        function = getattr(self, f"call_{name}", None)
        if function is None:
            raise Problem(f"{self.file.at(node)}: the function {name} is not known to these checks")
        return function(*arguments)

    def applied(self, node, item):
        """One call of a lambda."""
        parameter, body = named(node)
        return self.inside({text(parameter): item}, lambda inner: inner.value(body))


def given(files: Files, parameters: syntax.File, place: Place) -> dict:
    """The values of a parameter file."""
    scope = Scope(files, parameters, {}, place)
    return {name: scope.value(declared.value) for name, declared in parameters.variables.items()}


def deploy(files: Files, parameters: syntax.File, place: Place, changes: dict | None = None) -> Deployment:
    """What a parameter file deploys, with some of its values changed."""
    template = files.get((parameters.path.parent / parameters.using).resolve())
    return Scope(files, template, {**given(files, parameters, place), **(changes or {})}, place).deploy()
