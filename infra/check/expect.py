"""What expectations are made of: a deployment, and what is found wrong with it."""

import evaluate


def at(body, path: str):
    """The value at a dotted path."""
    for name in path.split("."):
        body = body[name]
    return body


def parent_of(resource) -> str:
    """Id of what a resource belongs to: the scope of an extension, or the parent."""
    tail = f"/providers/{resource.type}/"
    return resource.id.rsplit(tail, 1)[0] if tail in resource.id else resource.id.rsplit("/", 2)[0]


class Expect:
    """`changed`: the parameters are not those of the file."""

    def __init__(self, label: str, deployment: evaluate.Deployment, code, types: dict, changed: bool = False):
        self.label, self.deployment, self.code, self.types, self.changed = label, deployment, code, types, changed
        self.parameters = deployment.parameters
        self.environment = self.parameters["environmentName"]
        self.ids = {resource.id for resource in deployment.resources}
        self.found: list[str] = []

    def expect(self, holds: bool, message: str) -> None:
        if not holds:
            self.found.append(f"{self.label}: {message}")

    def all(self, kind: str) -> list:
        return [resource for resource in self.deployment.resources if resource.type == kind]

    def one(self, kind: str):
        found = self.all(kind)
        self.expect(len(found) == 1, f"{len(found)} of {kind}")
        return found[0]

    def of(self, parent, kind: str) -> list:
        """Resources of a type that belong to another one."""
        return [resource for resource in self.all(kind) if parent_of(resource) == parent.id]

    def run(self, parts) -> list[str]:
        for part in parts:
            try:
                part(self)
            except (KeyError, IndexError, TypeError) as error:
                self.expect(False, f"{part.__name__}: {error!r} is missing")
        return self.found
