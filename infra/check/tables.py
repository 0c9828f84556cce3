"""What deployments are held to, as data. Each table names its source."""

from typing import NamedTuple

COSMOS = "Microsoft.DocumentDB/databaseAccounts"
CONTAINER = f"{COSMOS}/sqlDatabases/containers"
COSMOS_ROLE = f"{COSMOS}/sqlRoleAssignments"
STORAGE = "Microsoft.Storage/storageAccounts"
BLOBS = f"{STORAGE}/blobServices"
TABLES = f"{STORAGE}/tableServices"
VAULT = "Microsoft.KeyVault/vaults"
KEY = f"{VAULT}/keys"
WORKSPACE = "Microsoft.OperationalInsights/workspaces"
ROLE = "Microsoft.Authorization/roleAssignments"
ENDPOINT = "Microsoft.Network/privateEndpoints"
ZONE = "Microsoft.Network/privateDnsZones"
METRIC_ALERT = "Microsoft.Insights/metricAlerts"
QUERY_ALERT = "Microsoft.Insights/scheduledQueryRules"
ACTIVITY_ALERT = "Microsoft.Insights/activityLogAlerts"
ACTION_GROUP = "Microsoft.Insights/actionGroups"
BUDGET = "Microsoft.Consumption/budgets"

# Settings that are the same in every environment: type, property, values, what is said of any other. This project's own decisions.
SETTINGS = [
    (COSMOS, "properties.consistencyPolicy.defaultConsistencyLevel", ["Session"], "consistency is not Session"),
    (COSMOS, "properties.enableMultipleWriteLocations", [False], "several write regions"),
    (COSMOS, "properties.disableLocalAuth", [True], "Cosmos DB takes keys"),
    (COSMOS, "properties.disableKeyBasedMetadataWriteAccess", [True], "keys may change databases and containers of Cosmos DB"),
    (COSMOS, "properties.minimalTlsVersion", ["Tls12"], "Cosmos DB takes old TLS"),
    (COSMOS, "properties.networkAclBypass", ["None"], "Cosmos DB lets services of Azure past the network rules"),
    (COSMOS, "properties.backupPolicy.type", ["Continuous"], "no continuous backup"),
    (CONTAINER, "properties.resource.indexingPolicy.indexingMode", ["consistent"], "the index is not consistent"),
    (STORAGE, "kind", ["StorageV2"], "not StorageV2"),
    (STORAGE, "properties.allowSharedKeyAccess", [False], "Storage takes shared keys"),
    (STORAGE, "properties.allowBlobPublicAccess", [False], "Storage allows public blobs"),
    (STORAGE, "properties.allowCrossTenantReplication", [False], "Storage may be replicated to strangers"),
    (STORAGE, "properties.isLocalUserEnabled", [False], "Storage has local users"),
    (STORAGE, "properties.minimumTlsVersion", ["TLS1_2", "TLS1_3"], "Storage takes old TLS"),
    (STORAGE, "properties.supportsHttpsTrafficOnly", [True], "Storage takes http"),
    (STORAGE, "properties.networkAcls.defaultAction", ["Deny"], "Storage does not deny by default"),
    (STORAGE, "properties.networkAcls.bypass", ["None"], "Storage lets services of Azure past the network rules"),
    (f"{BLOBS}/containers", "properties.publicAccess", ["None"], "a public blob container"),
    (VAULT, "properties.enableRbacAuthorization", [True], "Key Vault without enableRbacAuthorization"),
    (VAULT, "properties.enableSoftDelete", [True], "Key Vault without enableSoftDelete"),
    (VAULT, "properties.softDeleteRetentionInDays", [90], "Key Vault keeps what is deleted for less than 90 days"),
    (VAULT, "properties.enablePurgeProtection", [True], "Key Vault without enablePurgeProtection"),
    (VAULT, "properties.networkAcls.defaultAction", ["Deny"], "Key Vault does not deny by default"),
    (VAULT, "properties.networkAcls.bypass", ["None"], "Key Vault lets services of Azure past the network rules"),
    (KEY, "properties.attributes.enabled", [True], "the wrapping key is off"),
    (KEY, "properties.attributes.exportable", [False], "the wrapping key can be exported"),
    (WORKSPACE, "properties.features.disableLocalAuth", [True], "the workspace takes keys"),
    (f"{ZONE}/virtualNetworkLinks", "properties.registrationEnabled", [False], "machines register in a privatelink zone"),
    (ACTION_GROUP, "properties.enabled", [True], "the action group is off"),
    (METRIC_ALERT, "properties.enabled", [True], "is off"),
    (QUERY_ALERT, "properties.enabled", [True], "is off"),
    (ACTIVITY_ALERT, "properties.enabled", [True], "is off"),
]

# Names: the form of each, by "Naming rules and restrictions for Azure resources".
NAMES = {
    STORAGE: r"[a-z0-9]{3,24}",
    COSMOS: r"[a-z0-9][a-z0-9-]{1,42}[a-z0-9]",
    VAULT: r"[a-zA-Z](?:[a-zA-Z0-9]|-(?!-)){1,22}[a-zA-Z0-9]",
    f"{TABLES}/tables": r"[A-Za-z][A-Za-z0-9]{2,62}",
    f"{BLOBS}/containers": r"[a-z0-9](?:[a-z0-9]|-(?!-)){1,61}[a-z0-9]",
    ROLE: r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    COSMOS_ROLE: r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
}
# No two resource groups may have one of the same name: a host name is made of it, or the tenant has one of each.
UNIQUE = (STORAGE, COSMOS, VAULT, ROLE)
LOCKED = (COSMOS, STORAGE, VAULT)


class Role(NamedTuple):
    name: str
    access: str
    target: str  # type that it is given on
    kind: str  # type of the assignment; each has definitions of its own


# Built-in roles of the data plane, and the only ones that are given. Source: "Azure built-in roles"; Cosmos DB's own are in "Use data
# plane role-based access control".
ROLES = {
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": Role("Storage Table Data Contributor", "write", STORAGE, ROLE),
    "76199698-9eea-4c19-bc75-cec21354c6b6": Role("Storage Table Data Reader", "read", STORAGE, ROLE),
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": Role("Storage Blob Data Contributor", "write", STORAGE, ROLE),
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": Role("Storage Blob Data Reader", "read", STORAGE, ROLE),
    "12338af0-0e69-4776-bea7-57ae8d297424": Role("Key Vault Crypto User", "write", KEY, ROLE),
    "00000000-0000-0000-0000-000000000002": Role("Cosmos DB Built-in Data Contributor", "write", f"{COSMOS}/dbs", COSMOS_ROLE),
    "00000000-0000-0000-0000-000000000001": Role("Cosmos DB Built-in Data Reader", "read", f"{COSMOS}/dbs", COSMOS_ROLE),
}

# Private endpoints: what each group id is of, and the zone that its name is in. Source: "Azure Private Endpoint private DNS zone values".
ENDPOINTS = {
    "Sql": (COSMOS, "privatelink.documents.azure.com"),
    "table": (STORAGE, "privatelink.table.core.windows.net"),
    "blob": (STORAGE, "privatelink.blob.core.windows.net"),
    "vault": (VAULT, "privatelink.vaultcore.azure.net"),
}

# What an account takes one of at a time: never two at once, in loops and in modules. Source: the errors of Cosmos DB, "There is already an
# operation in progress which requires exclusive lock on this service".
ONE_AT_A_TIME = (COSMOS_ROLE, ENDPOINT)

# Log categories that are sent, and those that are sent only when `logs.requestLogs` asks for them: they name single records, which
# infra/README.md promises not to. Source: Azure Monitor reference, "Supported Resource log categories", the page of each type.
ALWAYS, ASKED = "always", "asked"
LOG_CATEGORIES = {
    COSMOS: {"ControlPlaneRequests": ALWAYS, "PartitionKeyStatistics": ALWAYS, "PartitionKeyRUConsumption": ALWAYS, "DataPlaneRequests": ASKED},
    STORAGE: {},
    BLOBS: {"StorageRead": ASKED, "StorageWrite": ASKED, "StorageDelete": ALWAYS},
    TABLES: {"StorageRead": ASKED, "StorageWrite": ASKED, "StorageDelete": ALWAYS},
    VAULT: {"AuditEvent": ALWAYS, "AzurePolicyEvaluationDetails": ALWAYS},
    WORKSPACE: {"Audit": ALWAYS},
}
# Metrics that are sent to the workspace too; alerts and the workbook need none of them there. Source: "Supported metrics", as above.
METRIC_CATEGORIES = {STORAGE: ["Transaction"], BLOBS: ["Transaction"], TABLES: ["Transaction"], VAULT: ["AllMetrics"]}

MINUTES = {"PT1M": 1, "PT5M": 5, "PT15M": 15, "PT30M": 30, "PT1H": 60, "PT6H": 360, "PT12H": 720, "P1D": 1440}


class Metric(NamedTuple):
    aggregations: str
    dimensions: str
    bad: str = "high"
    window: str = "PT1M"  # the shortest that has a value in it, or in which a missing one is no gap
    frequency: str = "PT1M"  # the shortest that can tell something new


# Source: Azure Monitor reference, "Supported metrics", the page of each namespace. Windows are its time grains, but for UsedCapacity:
# hourly by the grain, computed once a day ("Monitor Azure Storage").
METRICS = {
    COSMOS: {
        "TotalRequests": Metric("Count", "DatabaseName CollectionName Region StatusCode OperationType Status CapacityType"),
        "NormalizedRUConsumption": Metric("Maximum Average", "CollectionName DatabaseName Region PartitionKeyRangeId CollectionRid PhysicalPartitionId"),
        "ServiceAvailability": Metric("Minimum Average Maximum", "", "low", "PT1H", "PT15M"),
        "ServerSideLatencyGateway": Metric("Average", "DatabaseName CollectionName Region ConnectionMode OperationType PublicAPIType APIType"),
        "DataUsage": Metric("Total Average", "CollectionName DatabaseName Region", "high", "PT5M", "PT5M"),
        "ReplicationLatency": Metric("Minimum Maximum Average", "SourceRegion TargetRegion"),
        "RegionFailover": Metric("Count", "", "high", "PT5M"),
    },
    STORAGE: {
        "Transactions": Metric("Total", "ResponseType GeoType ApiName Authentication TransactionType"),
        "Availability": Metric("Average Minimum Maximum", "GeoType ApiName Authentication", "low"),
        "UsedCapacity": Metric("Average", "", "high", "P1D", "PT1H"),
        "SuccessE2ELatency": Metric("Average Minimum Maximum", "GeoType ApiName Authentication"),
        "SuccessServerLatency": Metric("Average Minimum Maximum", "GeoType ApiName Authentication"),
    },
    TABLES: {"SuccessServerLatency": Metric("Average Minimum Maximum", "GeoType ApiName Authentication")},
    BLOBS: {"SuccessServerLatency": Metric("Average Minimum Maximum", "GeoType ApiName Authentication")},
    VAULT: {
        "Availability": Metric("Average", "ActivityType ActivityName StatusCode StatusCodeClass", "low"),
        "ServiceApiResult": Metric("Count", "ActivityType ActivityName StatusCode StatusCodeClass"),
        "ServiceApiLatency": Metric("Average", "ActivityType ActivityName StatusCode StatusCodeClass"),
    },
}
# How a workbook numbers aggregations.
AGGREGATIONS = {1: "Total", 2: "Minimum", 3: "Maximum", 4: "Average", 7: "Count"}


class Table(NamedTuple):
    category: str | None  # of Cosmos DB, whose Dedicated logs fill it
    columns: str


# Tables that queries read. Source: Azure Monitor reference, "CDBPartitionKeyStatistics" and "CDBPartitionKeyRUConsumption"; "Monitor
# health of a Log Analytics workspace" for the function _LogOperation.
QUERY_TABLES = {
    "CDBPartitionKeyStatistics": Table("PartitionKeyStatistics", "AccountName CollectionName DatabaseName PartitionKey RegionName SizeKb TimeGenerated"),
    "CDBPartitionKeyRUConsumption": Table(
        "PartitionKeyRUConsumption",
        "AccountName ActivityId CollectionName DatabaseName OperationName PartitionKey PartitionKeyRangeId RegionName RequestCharge TimeGenerated",
    ),
    "_LogOperation": Table(None, "TimeGenerated Category Operation Level Detail _ResourceId"),
}
QUERY_WORDS = set("and bin by contains count max or round sum summarize top where".split())

# What an on-call engineer wants to hear of: the metric, and where there is one, an answer that is counted or `*` for each value of a
# dimension by itself; the table of a query.
WANTED = {
    "429 of Cosmos DB": ("TotalRequests", "429"),
    "401 of Cosmos DB": ("TotalRequests", "401"),
    "403 of Cosmos DB": ("TotalRequests", "403"),
    "availability of Cosmos DB": ("ServiceAvailability", None),
    "latency of Cosmos DB": ("ServerSideLatencyGateway", None),
    "capacity of Cosmos DB, each region by itself": ("DataUsage", "*"),
    "throttling of Storage": ("Transactions", "ServerBusyError"),
    "403 of Storage": ("Transactions", "AuthorizationError"),
    "availability of Storage": ("Availability", None),
    "latency of Storage": ("SuccessServerLatency", None),
    "capacity of Storage": ("UsedCapacity", None),
    "403 of Key Vault": ("ServiceApiResult", "403"),
    "the size of a logical partition": ("CDBPartitionKeyStatistics", None),
    "the heat of a logical partition": ("CDBPartitionKeyRUConsumption", None),
    "a full workspace": ("_LogOperation", None),
}
WANTED_OF_AUTOSCALE = {"request units of Cosmos DB": ("NormalizedRUConsumption", "*")}
WANTED_OF_TWO_REGIONS = {"a failover": ("RegionFailover", None), "a region that is behind": ("ReplicationLatency", None)}
