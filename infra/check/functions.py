"""The functions of Bicep that these files use, and where a deployment goes."""

import dataclasses
import hashlib
import json
import uuid

from syntax import Problem


@dataclasses.dataclass(frozen=True)
class Place:
    """A resource group, its region, and the environment variables of whoever deploys."""

    group: str
    region: str
    variables: dict

    @property
    def subscription(self) -> str:
        return self.group.split("/resourceGroups")[0]


def identity(scope: str, kind: str, names: list[str]) -> str:
    """Resource id of a type and its names, a child after its parent."""
    provider, *types = kind.split("/")
    if len(types) != len(names):
        raise Problem(f"{kind} with {len(names)} names")
    return f"{scope}/providers/{provider}/" + "/".join(f"{type_}/{name}" for type_, name in zip(types, names))


def kind_of(resource_id: str) -> str:
    """Type of the resource that an id names."""
    provider, *rest = resource_id.rsplit("/providers/", 1)[-1].split("/")
    return "/".join([provider, *rest[::2]])


class Functions:
    """Mixed into a scope: `value` evaluates an argument, `applied` a lambda."""

    def call_map(self, items, function):
        return [self.applied(function, item) for item in self.value(items)]

    def call_filter(self, items, function):
        return [item for item in self.value(items) if self.applied(function, item)]

    def call_toObject(self, items, key, value):
        return {self.applied(key, item): self.applied(value, item) for item in self.value(items)}

    def call_empty(self, node):
        value = self.value(node)
        return value is None or len(value) == 0

    def call_union(self, *nodes):
        return {key: value for node in nodes for key, value in self.value(node).items()}

    def call_json(self, node):
        return json.loads(self.value(node))

    def call_take(self, node, count):
        return self.value(node)[: self.value(count)]

    def call_split(self, node, separator):
        return self.value(node).split(self.value(separator))

    def call_replace(self, node, old, new):
        return self.value(node).replace(self.value(old), self.value(new))

    def call_loadTextContent(self, node):
        return self.files.text(self.file.path.parent / self.value(node))

    def call_uniqueString(self, *nodes):
        seed = "/".join(self.value(node) for node in nodes)
        number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big")
        return "".join("abcdefghijklmnopqrstuvwxyz234567"[(number >> (5 * i)) & 31] for i in range(13))

    def call_guid(self, *nodes):
        return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(self.value(node) for node in nodes)))

    def call_resourceGroup(self):
        return {"id": self.place.group, "location": self.place.region, "name": self.place.group.rsplit("/", 1)[1]}

    def call_subscription(self):
        return {"id": self.place.subscription, "tenantId": "00000000-0000-0000-0000-00000000cafe"}

    def call_resourceId(self, kind, *names):
        return identity(self.place.group, self.value(kind), [self.value(name) for name in names])

    def call_subscriptionResourceId(self, kind, *names):
        return identity(self.place.subscription, self.value(kind), [self.value(name) for name in names])

    def call_environment(self):
        return {"suffixes": {"storage": "core.windows.net"}}

    def call_readEnvironmentVariable(self, node):
        name = self.value(node)
        if name not in self.place.variables:
            raise Problem(f"{self.file.name}: {name} is not among the variables of infra/README.md")
        return self.place.variables[name]
