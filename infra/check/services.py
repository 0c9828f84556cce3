"""What the services must be: what the code expects, and what this project holds them to."""

import re

from expect import Expect, at, parent_of
from functions import kind_of
from schema import problems as schema_problems
from tables import (
    BLOBS, BUDGET, CONTAINER, COSMOS, COSMOS_ROLE, KEY, LOCKED, NAMES, ROLE, ROLES, SETTINGS, STORAGE, TABLES, UNIQUE, VAULT,
)

IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
DURATION = re.compile(r"P(?=\d)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)D)?")


def everywhere(e: Expect) -> None:
    """Properties, names, tags and places of every resource."""
    ids = set()
    region = e.parameters["location"]
    for resource in e.deployment.resources:
        e.found += [f"{e.label}: {problem}" for problem in schema_problems(resource, e.types)]
        e.expect(resource.id not in ids, f"{resource.id} is declared twice")
        ids.add(resource.id)
        rule = NAMES.get(resource.type)
        e.expect(rule is None or re.fullmatch(rule, resource.name), f"{resource.type} can not be named {resource.name}")
        entry = e.types.get(f"{resource.type}@{resource.version}", {"properties": {}})
        if "tags{}" in entry["properties"]:
            tags = resource.body.get("tags", {})
            e.expect(tags.get("environment") == e.environment, f"{resource.type} {resource.name} has no tag environment")
        e.expect(resource.body.get("location", region) in (region, "global"), f"{resource.type} is in {resource.body.get('location')}, not in {region}")
    for kind, path, values, words in SETTINGS:
        for resource in e.all(kind):
            value = at(resource.body, path)
            e.expect(value in values and type(value) is type(values[0]), f"{resource.name}: {words}")


def locks(e: Expect) -> None:
    for kind in LOCKED:
        held = [lock.body["properties"]["level"] for lock in e.of(e.one(kind), "Microsoft.Authorization/locks")]
        e.expect(held == (["CanNotDelete"] if e.environment == "prod" else []), f"{kind} has the locks {held}")


def elsewhere(label: str, deployment, other) -> list[str]:
    """Names that a deployment to another resource group would have too, and may not."""
    taken = {(resource.type, resource.name) for resource in other.resources}
    return [
        f"{label}: {resource.type} {resource.name} has the same name in {other.place.group}"
        for resource in deployment.resources
        if resource.type in UNIQUE and (resource.type, resource.name) in taken
    ]


def cosmos(e: Expect) -> None:
    code = e.code
    account = e.one(COSMOS).body["properties"]
    container = e.one(CONTAINER).body["properties"]
    resource = container["resource"]
    e.expect(resource["partitionKey"] == {"paths": [code.partition_key], "kind": "Hash", "version": 2}, "another partition key than the code's")
    e.expect(resource["defaultTtl"] == code.ttl, "another default TTL than the code's")
    policy = resource["indexingPolicy"]
    included = [path["path"] for path in policy["includedPaths"]]
    e.expect(included == code.included, f"the container indexes {included}, the code expects {code.included}")
    excluded = [path["path"] for path in policy["excludedPaths"]]
    e.expect(excluded == code.excluded, f"the container excludes {excluded}, the code expects {code.excluded}")
    for query, paths in code.queries.items():
        for path in paths:
            e.expect(path in included or path == "/id/?", f"{path} is not indexed, and needed by {query}")
    locations = account["locations"]
    e.expect(locations[0]["locationName"] == e.parameters["location"], f"Cosmos DB writes in {locations[0]['locationName']}")
    e.expect([place["failoverPriority"] for place in locations] == list(range(len(locations))), "failover priorities")
    e.expect(account["enableAutomaticFailover"] == (len(locations) > 1), "automatic failover without a second region, or the other way round")
    throughput = container["options"].get("autoscaleSettings", {}).get("maxThroughput")
    if account["capabilities"] == [{"name": "EnableServerless"}]:
        e.expect(len(locations) == 1 and not locations[0]["isZoneRedundant"], "serverless with regions or zones")
        e.expect(container["options"] == {}, "serverless with a throughput")
    else:
        e.expect(account["capabilities"] == [], "unknown capabilities")
        e.expect(bool(throughput) and throughput % 1000 == 0, f"autoscale up to {throughput}")
    if e.environment == "prod":
        tier = account["backupPolicy"]["continuousModeProperties"]["tier"]
        e.expect(tier == "Continuous30Days", "less than 30 days of continuous backup in production")
        e.expect(bool(throughput), "serverless in production")


def storage(e: Expect) -> None:
    sku = e.one(STORAGE).body["sku"]["name"]
    e.expect(e.environment != "prod" or sku in ("Standard_ZRS", "Standard_GZRS"), f"{sku} in production")
    prefix = e.parameters["storePrefix"]
    tables = [table.name for table in e.all(f"{TABLES}/tables")]
    e.expect(tables == [f"{prefix}{name}" for name in e.code.tables], f"tables {tables}, the code expects {e.code.tables}")
    containers = [one.name for one in e.all(f"{BLOBS}/containers")]
    e.expect(containers == [f"{prefix}{name}" for name in e.code.containers], f"containers {containers}, the code expects {e.code.containers}")
    blobs = e.one(BLOBS).body["properties"]
    restore = blobs["restorePolicy"]["days"]
    kept = blobs["deleteRetentionPolicy"]["days"]
    policies = ("changeFeed", "deleteRetentionPolicy", "containerDeleteRetentionPolicy", "restorePolicy")
    on = blobs["isVersioningEnabled"] and all(blobs[name]["enabled"] for name in policies)
    e.expect(on, "versioning, soft delete, change feed or point-in-time restore is off")
    e.expect(restore < kept and restore < blobs["changeFeed"]["retentionInDays"], "soft delete or change feed is shorter than the restore")
    e.expect(e.environment != "prod" or restore >= 30, "less than 30 days of point-in-time restore in production")
    for rule in e.one(f"{STORAGE}/managementPolicies").body["properties"]["policy"]["rules"]:
        definition = rule["definition"]
        e.expect(set(definition["actions"]) == {"version"}, f"the rule {rule['name']} touches live payloads or snapshots")
        age = definition["actions"].get("version", {}).get("delete", {}).get("daysAfterCreationGreaterThan", 0)
        e.expect(age > restore, "versions expire within the window of a restore")
        prefixes = definition["filters"]["prefixMatch"]
        e.expect(prefixes == [f"{name}/" for name in containers], f"the rule {rule['name']} is for {prefixes}")


def days(duration: str) -> int:
    """Of an ISO 8601 duration of years, months and days; 0 for anything else."""
    match = DURATION.fullmatch(duration)
    if not match:
        return 0
    years, months, rest = (int(part or 0) for part in match.groups())
    return years * 365 + months * 30 + rest


def vault(e: Expect) -> None:
    e.one(VAULT)
    if not e.parameters["createWrappingKey"]:
        e.expect(not e.all(KEY), "a wrapping key that was not to be looked at")
        return
    key = e.one(KEY).body["properties"]
    e.expect(set(key["keyOps"]) == {"wrapKey", "unwrapKey"}, "the wrapping key may do other things")
    e.expect("exp" not in key["attributes"], "a fixed expiry: the key would change on each deployment")
    policy = key["rotationPolicy"]
    actions = {action["action"]["type"]: action["trigger"] for action in policy["lifetimeActions"]}
    e.expect("rotate" in actions, "the wrapping key is not rotated")
    rotated, kept = actions["rotate"]["timeAfterCreate"], policy["attributes"]["expiryTime"]
    e.expect(365 <= days(rotated) <= 730, f"the wrapping key is rotated after {rotated}, not after one or two years")
    # Key Vault wants at least 28 days of every version.
    e.expect(days(rotated) + 28 <= days(kept), f"a version of the wrapping key expires after {kept}, before the next one is in use")


def roles(e: Expect) -> None:
    identity = e.one(IDENTITY).get("properties").get("principalId")
    account = e.one(COSMOS).id
    definitions = {
        ROLE: f"{e.deployment.place.subscription}/providers/Microsoft.Authorization/roleDefinitions",
        COSMOS_ROLE: f"{account}/sqlRoleDefinitions",
    }
    given: dict[str, set] = {}
    for assignment in [*e.all(ROLE), *e.all(COSMOS_ROLE)]:
        properties = assignment.body["properties"]
        kind, _, definition = properties["roleDefinitionId"].rpartition("/")
        role = ROLES.get(definition)
        if role is None or role.kind != assignment.type:
            e.expect(False, f"the role {definition} is not one of the data plane that {assignment.type} gives")
            continue
        e.expect(kind == definitions[role.kind], f"{role.name} is looked for in {kind}")
        target = parent_of(assignment) if role.kind == ROLE else properties["scope"]
        if role.kind == COSMOS_ROLE:
            database = e.one(f"{COSMOS}/sqlDatabases").name
            e.expect(target == f"{account}/dbs/{database}", f"{role.name} reaches beyond the database")
        else:
            e.expect(kind_of(target) == role.target, f"{role.name} is given on {kind_of(target)}")
            known = e.ids if e.parameters["createWrappingKey"] or role.target != KEY else {target}
            e.expect(target in known, f"{role.name} is given on something that is not deployed")
            if properties["principalId"] == identity:
                e.expect(properties["principalType"] == "ServicePrincipal", "the identity's role does not say what it is")
        given.setdefault(properties["principalId"], set()).add((role.access, role.name))
    every = {(role.access, role.name) for role in ROLES.values()}
    writes = {entry for entry in every if entry[0] == "write"}
    wanted = {identity: writes, **{principal: writes for principal in e.parameters["appPrincipalIds"]}}
    wanted |= {principal: every - writes for principal in e.parameters["operatorPrincipalIds"]}
    for principal in given.keys() | wanted.keys():
        has = given.get(principal, set())
        e.expect(has == wanted.get(principal), f"the principal {principal} has the roles {sorted(has)}")


def spending(e: Expect) -> None:
    budget = e.one(BUDGET).body["properties"]
    e.expect(re.fullmatch(r"\d{4}-\d{2}-01", budget["timePeriod"]["startDate"]) is not None, "a budget begins on the first of a month")
    e.expect(0 < len(budget["notifications"]) <= 5, "no notice of the budget, or more than five")
    for name, notice in budget["notifications"].items():
        e.expect(notice["enabled"] and notice["operator"].startswith("GreaterThan"), f"the notice {name} of the budget is off or turned around")


def outputs(e: Expect) -> None:
    found, code = e.deployment.outputs, e.code
    for name, value in found.items():
        e.expect(name in code.variables, f"the output {name} is no variable that AzureConfig reads")
        e.expect(name not in code.secrets, f"the output {name} is a secret")
        e.expect(bool(value) or name == "OPENJIBO_STORE_PREFIX", f"the output {name} is empty")
    account, store = e.one(COSMOS), e.one(STORAGE)
    expected = {
        "AZURE_COSMOS_ENDPOINT": f"https://{account.name}.documents.azure.com:443/",
        "AZURE_COSMOS_DATABASE_NAME": e.one(f"{COSMOS}/sqlDatabases").name,
        "AZURE_COSMOS_CONTAINER_NAME": e.one(CONTAINER).name,
        "AZURE_COSMOS_REGION": ",".join(place["locationName"] for place in account.body["properties"]["locations"]),
        "AZURE_STORAGE_ACCOUNT_NAME": store.name,
        "AZURE_STORAGE_BLOB_ENDPOINT": f"https://{store.name}.blob.core.windows.net/",
        "AZURE_STORAGE_TABLE_ENDPOINT": f"https://{store.name}.table.core.windows.net/",
        "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
        "AZURE_CLIENT_ID": e.one(IDENTITY).get("properties").get("clientId"),
        "OPENJIBO_STORE_PREFIX": e.parameters["storePrefix"],
    }
    for name, value in expected.items():
        e.expect(found.get(name) == value, f"the output {name} is {found.get(name)!r}, not {value!r}")
