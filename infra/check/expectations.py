"""What a deployment must be: what the code expects, and what this project holds a deployment to."""

import dataclasses
import pathlib
import re

import evaluate
from schema import problems as schema_problems

# Built-in roles of the data plane, and the only ones that are given. Source: "Azure built-in roles"; Cosmos DB's own are in "Use data
# plane role-based access control".
ROLES = {
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": ("Storage Table Data Contributor", "write", "Microsoft.Storage/storageAccounts"),
    "76199698-9eea-4c19-bc75-cec21354c6b6": ("Storage Table Data Reader", "read", "Microsoft.Storage/storageAccounts"),
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": ("Storage Blob Data Contributor", "write", "Microsoft.Storage/storageAccounts"),
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": ("Storage Blob Data Reader", "read", "Microsoft.Storage/storageAccounts"),
    "12338af0-0e69-4776-bea7-57ae8d297424": ("Key Vault Crypto User", "write", "Microsoft.KeyVault/vaults/keys"),
    "00000000-0000-0000-0000-000000000002": ("Cosmos DB Built-in Data Contributor", "write", "dbs"),
    "00000000-0000-0000-0000-000000000001": ("Cosmos DB Built-in Data Reader", "read", "dbs"),
}

# Everything that has logs or metrics of its own to send.
LOGGED = (
    "Microsoft.DocumentDB/databaseAccounts",
    "Microsoft.Storage/storageAccounts",
    "Microsoft.Storage/storageAccounts/blobServices",
    "Microsoft.Storage/storageAccounts/tableServices",
    "Microsoft.KeyVault/vaults",
    "Microsoft.OperationalInsights/workspaces",
)
LOCKED = LOGGED[:2] + LOGGED[4:5]

# What an on-call engineer wants to hear of, by metric and, where it is one, by the answers that are counted.
WANTED = {
    "429 of Cosmos DB": ("TotalRequests", "429"),
    "403 of Cosmos DB": ("TotalRequests", "403"),
    "availability of Cosmos DB": ("ServiceAvailability", None),
    "latency of Cosmos DB": ("ServerSideLatencyGateway", None),
    "capacity of Cosmos DB": ("DataUsage", None),
    "throttling of Storage": ("Transactions", "ServerBusyError"),
    "403 of Storage": ("Transactions", "AuthorizationError"),
    "availability of Storage": ("Availability", None),
    "latency of Storage": ("SuccessServerLatency", None),
    "capacity of Storage": ("UsedCapacity", None),
    "403 of Key Vault": ("ServiceApiResult", "403"),
}

NAMES = {
    "Microsoft.Storage/storageAccounts": r"[a-z0-9]{3,24}",
    "Microsoft.DocumentDB/databaseAccounts": r"[a-z0-9][a-z0-9-]{1,42}[a-z0-9]",
    "Microsoft.KeyVault/vaults": r"[a-zA-Z](?:[a-zA-Z0-9]|-(?!-)){1,22}[a-zA-Z0-9]",
    "Microsoft.Storage/storageAccounts/tableServices/tables": r"[A-Za-z][A-Za-z0-9]{2,62}",
    "Microsoft.Storage/storageAccounts/blobServices/containers": r"[a-z0-9](?:[a-z0-9]|-(?!-)){1,61}[a-z0-9]",
    "Microsoft.Authorization/roleAssignments": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
}

MINUTES = {"PT1M": 1, "PT5M": 5, "PT15M": 15, "PT30M": 30, "PT1H": 60, "PT6H": 360, "PT12H": 720, "P1D": 1440}


@dataclasses.dataclass
class Code:
    """What src/azure says, read from its text."""

    partition_key: str
    ttl: int
    included: list
    excluded: list
    tables: list
    containers: list
    queries: dict  # text -> paths
    variables: list
    secrets: list


def rust_list(text: str, name: str) -> list[str]:
    body = re.search(rf"const {name}: &\[&str\] =\s*&\[(.*?)\];", text, re.DOTALL).group(1)
    constants = dict(re.findall(r'const (\w+): &str = "([^"]*)";', text))
    return [quoted or constants[word] for quoted, word in re.findall(r'"([^"]*)"|(\w+)', body)]


def read_code(root: pathlib.Path) -> Code:
    names = (root / "src/azure/names.rs").read_text(encoding="utf-8")
    queries = (root / "src/azure/cosmos/queries.rs").read_text(encoding="utf-8")
    variables = (root / "src/azure/config/vars.rs").read_text(encoding="utf-8")
    texts = dict(re.findall(r'const (\w+): &str = "([^"]*)";', queries))
    indexed = re.search(r"const INDEXED:.*?= \[(.*?)\];", queries, re.DOTALL).group(1)
    paths = {texts[name]: re.findall(r'"([^"]+)"', list_) for name, list_ in re.findall(r"\((\w+), &\[(.*?)\]\)", indexed)}
    if set(paths) != set(texts.values()):
        raise evaluate.Problem("src/azure/cosmos/queries.rs: a query is not in INDEXED")
    constants = dict(re.findall(r'const (\w+): &str = "([^"]*)";', variables))
    return Code(
        partition_key=re.search(r'PARTITION_KEY_PATH: &str = "([^"]+)"', names).group(1),
        ttl=int(re.search(r"DEFAULT_TTL_SECONDS: i32 = (-?\d+);", names).group(1)),
        included=rust_list(names, "INDEXING_INCLUDED_PATHS"),
        excluded=rust_list(names, "INDEXING_EXCLUDED_PATHS"),
        tables=rust_list(names, "TABLES"),
        containers=rust_list(names, "BLOB_CONTAINERS"),
        queries=paths,
        variables=list(constants.values()),
        secrets=[constants[name] for name in ("COSMOS_KEY", "CONNECTION_STRING", "SAS_TOKEN", "CLIENT_SECRET", "ALLOW_KEYS")],
    )


class Expectations:
    def __init__(self, deployment: evaluate.Deployment, environment: str, prefix: str, code: Code, types: dict):
        self.deployment, self.environment, self.prefix, self.code, self.types = deployment, environment, prefix, code, types
        self.found: list[str] = []

    def expect(self, holds: bool, message: str) -> None:
        if not holds:
            self.found.append(f"{self.environment}: {message}")

    def all(self, kind: str) -> list:
        return [resource for resource in self.deployment.resources if resource.type == kind]

    def one(self, kind: str):
        found = self.all(kind)
        self.expect(len(found) == 1, f"{len(found)} of {kind}")
        return found[0]

    def check(self) -> list[str]:
        parts = (self.everywhere, self.cosmos, self.storage, self.vault, self.network, self.roles, self.logs, self.alerts, self.spending, self.outputs)
        for part in parts:
            try:
                part()
            except (KeyError, IndexError, TypeError) as error:
                self.expect(False, f"{part.__name__}: {error!r} is missing")
        return self.found

    def everywhere(self) -> None:
        ids = set()
        for resource in self.deployment.resources:
            self.found += [f"{self.environment}: {problem}" for problem in schema_problems(resource, self.types)]
            self.expect(resource.id not in ids, f"{resource.id} is declared twice")
            ids.add(resource.id)
            rule = NAMES.get(resource.type)
            self.expect(rule is None or re.fullmatch(rule, resource.name), f"{resource.type} can not be named {resource.name}")
            entry = self.types.get(f"{resource.type}@{resource.version}", {"properties": {}})
            if "tags{}" in entry["properties"]:
                tags = resource.body.get("tags", {})
                self.expect(tags.get("environment") == self.environment, f"{resource.type} {resource.name} has no tag environment")
        for kind in LOCKED:
            held = self.one(kind)
            locks = [lock for lock in self.all("Microsoft.Authorization/locks") if lock.id.startswith(f"{held.id}/providers/")]
            levels = [lock.body["properties"]["level"] for lock in locks]
            expected = ["CanNotDelete"] if self.environment == "prod" else []
            self.expect(levels == expected, f"{kind} has the locks {levels}")

    def cosmos(self) -> None:
        code = self.code
        account = self.one("Microsoft.DocumentDB/databaseAccounts").body["properties"]
        container = self.one("Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers").body["properties"]
        resource = container["resource"]
        self.expect(resource["partitionKey"] == {"paths": [code.partition_key], "kind": "Hash", "version": 2}, "another partition key than the code's")
        self.expect(resource["defaultTtl"] == code.ttl, "another default TTL than the code's")
        policy = resource["indexingPolicy"]
        included = [path["path"] for path in policy["includedPaths"]]
        self.expect(included == code.included, f"the container indexes {included}, the code expects {code.included}")
        excluded = [path["path"] for path in policy["excludedPaths"]]
        self.expect(excluded == code.excluded, f"the container excludes {excluded}, the code expects {code.excluded}")
        self.expect(policy["indexingMode"] == "consistent", "the index is not consistent")
        for query, paths in code.queries.items():
            for path in paths:
                self.expect(path in included or path == "/id/?", f"{path} is not indexed, and needed by {query}")
        self.expect(account["consistencyPolicy"] == {"defaultConsistencyLevel": "Session"}, "consistency is not Session")
        self.expect(account["enableMultipleWriteLocations"] is False, "several write regions")
        self.expect(account["disableLocalAuth"] is True, "Cosmos DB takes keys")
        self.expect(account["minimalTlsVersion"] == "Tls12", "Cosmos DB takes old TLS")
        self.expect(account["backupPolicy"]["type"] == "Continuous", "no continuous backup")
        locations = account["locations"]
        self.expect([place["failoverPriority"] for place in locations] == list(range(len(locations))), "failover priorities")
        self.expect(account["enableAutomaticFailover"] == (len(locations) > 1), "automatic failover without a second region, or the other way round")
        throughput = container["options"].get("autoscaleSettings", {}).get("maxThroughput")
        if account["capabilities"] == [{"name": "EnableServerless"}]:
            self.expect(len(locations) == 1 and not locations[0]["isZoneRedundant"], "serverless with regions or zones")
            self.expect(container["options"] == {}, "serverless with a throughput")
        else:
            self.expect(account["capabilities"] == [], "unknown capabilities")
            self.expect(bool(throughput) and throughput % 1000 == 0, f"autoscale up to {throughput}")
        if self.environment == "prod":
            tier = account["backupPolicy"]["continuousModeProperties"]["tier"]
            self.expect(tier == "Continuous30Days", "less than 30 days of continuous backup in production")
            self.expect(bool(throughput), "serverless in production")

    def storage(self) -> None:
        account = self.one("Microsoft.Storage/storageAccounts").body
        properties = account["properties"]
        self.expect(account["kind"] == "StorageV2", "not StorageV2")
        self.expect(properties["allowSharedKeyAccess"] is False, "Storage takes shared keys")
        self.expect(properties["allowBlobPublicAccess"] is False, "Storage allows public blobs")
        self.expect(properties["minimumTlsVersion"] in ("TLS1_2", "TLS1_3"), "Storage takes old TLS")
        self.expect(properties["supportsHttpsTrafficOnly"] is True, "Storage takes http")
        sku = account["sku"]["name"]
        self.expect(self.environment != "prod" or sku in ("Standard_ZRS", "Standard_GZRS"), f"{sku} in production")
        tables = [table.name for table in self.all("Microsoft.Storage/storageAccounts/tableServices/tables")]
        self.expect(tables == [f"{self.prefix}{name}" for name in self.code.tables], f"tables {tables}, the code expects {self.code.tables}")
        containers = [one.name for one in self.all("Microsoft.Storage/storageAccounts/blobServices/containers")]
        expected = [f"{self.prefix}{name}" for name in self.code.containers]
        self.expect(containers == expected, f"containers {containers}, the code expects {self.code.containers}")
        blobs = self.one("Microsoft.Storage/storageAccounts/blobServices").body["properties"]
        restore = blobs["restorePolicy"]["days"]
        kept = blobs["deleteRetentionPolicy"]["days"]
        on = blobs["isVersioningEnabled"] and all(
            blobs[name]["enabled"] for name in ("changeFeed", "deleteRetentionPolicy", "containerDeleteRetentionPolicy", "restorePolicy")
        )
        self.expect(on, "versioning, soft delete, change feed or point-in-time restore is off")
        self.expect(restore < kept and restore < blobs["changeFeed"]["retentionInDays"], "soft delete or change feed is shorter than the restore")
        self.expect(self.environment != "prod" or restore >= 30, "less than 30 days of point-in-time restore in production")
        for rule in self.one("Microsoft.Storage/storageAccounts/managementPolicies").body["properties"]["policy"]["rules"]:
            definition = rule["definition"]
            self.expect(set(definition["actions"]) == {"version"}, f"the rule {rule['name']} touches live payloads or snapshots")
            age = definition["actions"].get("version", {}).get("delete", {}).get("daysAfterCreationGreaterThan", 0)
            self.expect(age > restore, "versions expire within the window of a restore")
            prefixes = definition["filters"]["prefixMatch"]
            self.expect(prefixes == [f"{name}/" for name in containers], f"the rule {rule['name']} is for {prefixes}")

    def vault(self) -> None:
        vault = self.one("Microsoft.KeyVault/vaults").body["properties"]
        for setting in ("enableRbacAuthorization", "enableSoftDelete", "enablePurgeProtection"):
            self.expect(vault[setting] is True, f"Key Vault without {setting}")
        key = self.one("Microsoft.KeyVault/vaults/keys").body["properties"]
        self.expect(set(key["keyOps"]) == {"wrapKey", "unwrapKey"}, "the wrapping key may do other things")
        self.expect("exp" not in key["attributes"], "a fixed expiry: the key would change on each deployment")
        actions = {action["action"]["type"]: action["trigger"] for action in key["rotationPolicy"]["lifetimeActions"]}
        self.expect("rotate" in actions, "the wrapping key is not rotated")

    def network(self) -> None:
        cosmos = self.one("Microsoft.DocumentDB/databaseAccounts").body["properties"]
        storage = self.one("Microsoft.Storage/storageAccounts").body["properties"]
        vault = self.one("Microsoft.KeyVault/vaults").body["properties"]
        for name, acls in (("Storage", storage["networkAcls"]), ("Key Vault", vault["networkAcls"])):
            self.expect(acls["defaultAction"] == "Deny" and acls["bypass"] == "None", f"{name} does not deny by default")
        shut = [properties["publicNetworkAccess"].lower() == "disabled" for properties in (cosmos, storage, vault)]
        endpoints = self.all("Microsoft.Network/privateEndpoints")
        if all(shut):
            groups = sorted(end.body["properties"]["privateLinkServiceConnections"][0]["properties"]["groupIds"][0] for end in endpoints)
            self.expect(groups == ["Sql", "blob", "table", "vault"], f"private endpoints for {groups}")
            zones = {zone.id for zone in self.all("Microsoft.Network/privateDnsZones")}
            named = {
                config["properties"]["privateDnsZoneId"]
                for group in self.all("Microsoft.Network/privateEndpoints/privateDnsZoneGroups")
                for config in group.body["properties"]["privateDnsZoneConfigs"]
            }
            self.expect(len(zones) == 4 and zones == named, "private endpoints without their DNS zones")
            linked = {link.id.split("/virtualNetworkLinks/")[0] for link in self.all("Microsoft.Network/privateDnsZones/virtualNetworkLinks")}
            self.expect(zones == linked, "DNS zones that no virtual network uses")
        else:
            self.expect(not any(shut), "some services are shut, others are not")
            self.expect(not endpoints, "private endpoints beside public access")
            filtered = cosmos["isVirtualNetworkFilterEnabled"] or cosmos["ipRules"]
            self.expect(bool(filtered), "Cosmos DB is open to everybody: without a rule it does not deny")
            self.expect(cosmos["isVirtualNetworkFilterEnabled"] == bool(cosmos["virtualNetworkRules"]), "the subnets of Cosmos DB are not in force")
        self.expect(self.environment != "prod" or all(shut), "production is reachable from outside")

    def roles(self) -> None:
        identity = self.one("Microsoft.ManagedIdentity/userAssignedIdentities").get("properties").get("principalId")
        given: dict[str, set] = {}
        for role in [*self.all("Microsoft.Authorization/roleAssignments"), *self.all("Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments")]:
            properties = role.body["properties"]
            definition = properties["roleDefinitionId"].rsplit("/", 1)[-1]
            if definition not in ROLES:
                self.expect(False, f"the role {definition} is not one of the data plane")
                continue
            name, access, scope = ROLES[definition]
            if scope == "dbs":
                self.expect(re.search(r"/dbs/[^/]+$", properties["scope"]) is not None, f"{name} reaches beyond the database")
            else:
                target = role.id.split("/providers/Microsoft.Authorization/")[0]
                kind = next((one.type for one in self.deployment.resources if one.id == target), None)
                self.expect(kind == scope, f"{name} is given on {kind}")
            given.setdefault(properties["principalId"], set()).add((access, name))
            if properties["principalId"] == identity and scope != "dbs":
                self.expect(properties["principalType"] == "ServicePrincipal", "the identity's role does not say what it is")
        every = {(access, name) for name, access, _ in ROLES.values()}
        writes = {entry for entry in every if entry[0] == "write"}
        self.expect(given.get(identity) == writes, "the identity has other roles than it needs")
        for principal, roles in given.items():
            self.expect(roles in (writes, every - writes), f"the principal {principal} has the roles {sorted(roles)}")

    def logs(self) -> None:
        workspace = self.one("Microsoft.OperationalInsights/workspaces")
        settings = self.all("Microsoft.Insights/diagnosticSettings")
        for kind in LOGGED:
            for resource in self.all(kind):
                here = [one for one in settings if one.id.split("/providers/Microsoft.Insights/")[0] == resource.id]
                self.expect(len(here) == 1, f"{kind} has {len(here)} diagnostic settings")
                for setting in here:
                    self.expect(setting.body["properties"]["workspaceId"] == workspace.id, f"{kind} logs to somewhere else")

    def alerts(self) -> None:
        group = self.one("Microsoft.Insights/actionGroups").id
        ids = {resource.id for resource in self.deployment.resources}
        seen = set()
        for alert in self.all("Microsoft.Insights/metricAlerts"):
            properties = alert.body["properties"]
            criterion = properties["criteria"]["allOf"][0]
            values = [value for dimension in criterion["dimensions"] for value in dimension["values"]]
            seen.update((criterion["metricName"], value) for value in (None, *values))
            self.expect(properties["actions"] == [{"actionGroupId": group}], f"{alert.name} tells nobody")
            self.expect(MINUTES[properties["evaluationFrequency"]] <= MINUTES[properties["windowSize"]], f"{alert.name} is evaluated less often than its window")
            self.expect(all(scope in ids for scope in properties["scopes"]), f"{alert.name} watches something that is not deployed")
            scope = next((one.type for one in self.deployment.resources if one.id == properties["scopes"][0]), "")
            self.expect(scope == criterion["metricNamespace"], f"{alert.name}: {criterion['metricNamespace']} is not what it watches")
            known = METRICS.get(criterion["metricNamespace"], {}).get(criterion["metricName"])
            if known is None:
                self.expect(False, f"{alert.name}: there is no metric {criterion['metricName']} that these checks know")
                continue
            aggregations, dimensions = known
            self.expect(criterion["timeAggregation"] in aggregations, f"{alert.name}: {criterion['metricName']} has no {criterion['timeAggregation']}")
            for dimension in criterion["dimensions"]:
                self.expect(dimension["name"] in dimensions, f"{alert.name}: {criterion['metricName']} has no dimension {dimension['name']}")
        autoscale = self.one("Microsoft.DocumentDB/databaseAccounts").body["properties"]["capabilities"] == []
        wanted = {**WANTED, **({"request units of Cosmos DB": ("NormalizedRUConsumption", None)} if autoscale else {})}
        for what, alert in wanted.items():
            self.expect(alert in seen, f"no alert for {what}")
        for alert in self.all("Microsoft.Insights/scheduledQueryRules"):
            properties = alert.body["properties"]
            self.expect(properties["actions"] == {"actionGroups": [group]}, f"{alert.name} tells nobody")
            self.expect(all(scope in ids for scope in properties["scopes"]), f"{alert.name} watches something that is not deployed")

    def spending(self) -> None:
        budget = self.one("Microsoft.Consumption/budgets").body["properties"]
        self.expect(re.fullmatch(r"\d{4}-\d{2}-01", budget["timePeriod"]["startDate"]) is not None, "a budget begins on the first of a month")
        self.expect(len(budget["notifications"]) <= 5, "more than five notices of the budget")
        workbook = self.one("Microsoft.Insights/workbooks").body["properties"]["serializedData"]
        self.expect("__" not in workbook, "a placeholder is left in the workbook")
        self.expect(self.one("Microsoft.DocumentDB/databaseAccounts").id in workbook, "the workbook does not show this deployment")

    def outputs(self) -> None:
        outputs, code = self.deployment.outputs, self.code
        for name, value in outputs.items():
            self.expect(name in code.variables, f"the output {name} is no variable that AzureConfig reads")
            self.expect(name not in code.secrets, f"the output {name} is a secret")
            self.expect(bool(value) or name == "OPENJIBO_STORE_PREFIX", f"the output {name} is empty")
        account = self.one("Microsoft.DocumentDB/databaseAccounts")
        storage = self.one("Microsoft.Storage/storageAccounts")
        expected = {
            "AZURE_COSMOS_ENDPOINT": f"https://{account.name}.documents.azure.com:443/",
            "AZURE_COSMOS_DATABASE_NAME": self.one("Microsoft.DocumentDB/databaseAccounts/sqlDatabases").name,
            "AZURE_COSMOS_CONTAINER_NAME": self.one("Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers").name,
            "AZURE_COSMOS_REGION": ",".join(place["locationName"] for place in account.body["properties"]["locations"]),
            "AZURE_STORAGE_ACCOUNT_NAME": storage.name,
            "AZURE_STORAGE_BLOB_ENDPOINT": f"https://{storage.name}.blob.core.windows.net/",
            "AZURE_STORAGE_TABLE_ENDPOINT": f"https://{storage.name}.table.core.windows.net/",
            "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
            "AZURE_CLIENT_ID": self.one("Microsoft.ManagedIdentity/userAssignedIdentities").get("properties").get("clientId"),
            "OPENJIBO_STORE_PREFIX": self.prefix,
        }
        for name, value in expected.items():
            self.expect(outputs.get(name) == value, f"the output {name} is {outputs.get(name)!r}, not {value!r}")


# Metrics that alerts use: aggregations and dimensions. Source: Azure Monitor reference, "Supported metrics with Azure Monitor", the page of
# each namespace.
METRICS = {
    "Microsoft.DocumentDB/databaseAccounts": {
        "TotalRequests": (["Count"], ["DatabaseName", "CollectionName", "Region", "StatusCode", "OperationType", "Status", "CapacityType"]),
        "NormalizedRUConsumption": (["Maximum", "Average"], ["CollectionName", "DatabaseName", "Region", "PartitionKeyRangeId", "CollectionRid", "PhysicalPartitionId"]),
        "ServiceAvailability": (["Minimum", "Average", "Maximum"], []),
        "ServerSideLatencyGateway": (["Average"], ["DatabaseName", "CollectionName", "Region", "ConnectionMode", "OperationType", "PublicAPIType", "APIType"]),
        "DataUsage": (["Total", "Average"], ["CollectionName", "DatabaseName", "Region"]),
        "ReplicationLatency": (["Minimum", "Maximum", "Average"], ["SourceRegion", "TargetRegion"]),
    },
    "Microsoft.Storage/storageAccounts": {
        "Transactions": (["Total"], ["ResponseType", "GeoType", "ApiName", "Authentication", "TransactionType"]),
        "Availability": (["Average", "Minimum", "Maximum"], ["GeoType", "ApiName", "Authentication"]),
        "UsedCapacity": (["Average"], []),
    },
    "Microsoft.Storage/storageAccounts/tableServices": {
        "SuccessServerLatency": (["Average", "Minimum", "Maximum"], ["GeoType", "ApiName", "Authentication"]),
    },
    "Microsoft.Storage/storageAccounts/blobServices": {
        "SuccessServerLatency": (["Average", "Minimum", "Maximum"], ["GeoType", "ApiName", "Authentication"]),
    },
    "Microsoft.KeyVault/vaults": {
        "Availability": (["Average"], ["ActivityType", "ActivityName", "StatusCode", "StatusCodeClass"]),
        "ServiceApiResult": (["Count"], ["ActivityType", "ActivityName", "StatusCode", "StatusCodeClass"]),
    },
}


def runbook(root: pathlib.Path, deployments: dict) -> list[str]:
    """Alerts without a section in the runbook, and sections without an alert."""
    page = (root / "docs/runbooks/recover.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^\| `([a-z]+-[a-z-]+)` \|", page, re.MULTILINE))
    deployed = set()
    for deployment in deployments.values():
        for alert in deployment.resources:
            if alert.type in ("Microsoft.Insights/metricAlerts", "Microsoft.Insights/scheduledQueryRules"):
                deployed.add(re.sub(r"-[a-z0-9]+-(?:dev|stg|prd)$", "", alert.name))
    return [f"docs/runbooks/recover.md says nothing about the alert {name}" for name in sorted(deployed - described)] + [
        f"docs/runbooks/recover.md: there is no alert {name}" for name in sorted(described - deployed)
    ]
