"""Can the checks fail? One planted fault at a time, in a copy of the files in memory; each must be found, by the words it should be."""

import evaluate
import syntax

# file, what is there, what is put there, what must be said.
FAULTS = [
    # syntax and names
    ("modules/logs.bicep", "name: 'PerGB2018'", "name: = 'PerGB2018'", "not Bicep"),
    ("prod.bicepparam", "param storageSku = 'Standard_GZRS'", "param storageSku 'Standard_GZRS'", "not Bicep"),
    ("modules/logs.bicep", "param dailyCapGb int\n", "param dailyCapGb int\nparam spare int = 1\n", "param spare is not used"),
    ("modules/logs.bicep", "param dailyCapGb int\n", "param dailyCapGb int\nvar spare = 1\n", "variable spare is not used"),
    ("main.bicep", "type budgetType = {", "type spareType = {\n  a: int\n}\n\ntype budgetType = {", "type spareType is not used"),
    ("modules/alerts.bicep", "output actionGroupId string = onCall.id", "output actionGroupId string = onCall.id\noutput name string = onCall.name", "output name is not used"),
    ("modules/roles.bicep", "resource vault 'Microsoft.KeyVault", "resource other 'Microsoft.KeyVault/vaults@2023-07-01' existing = {\n  name: vaultName\n}\n\nresource vault 'Microsoft.KeyVault", "existing resource other is not used"),
    # parameters
    ("dev.bicepparam", "param cosmosBackup = 'Continuous7Days'\n", "", "parameter cosmosBackup is missing"),
    ("dev.bicepparam", "param cosmosBackup", "param other = 1\nparam cosmosBackup", "there is no parameter other"),
    ("main.bicep", "    dailyCapGb: logs.dailyCapGb\n", "", "parameter dailyCapGb is missing"),
    ("dev.bicepparam", "mode: 'serverless'", "mode: 'serverless'\n  zoneRedundant: true", "capacity.zoneRedundant: is not known"),
    ("dev.bicepparam", "mode: 'serverless'", "mode: 'serverless'\n  readRegion: {\n    name: 'x'\n    zoneRedundant: false\n  }", "capacity.readRegion: is not known"),
    ("dev.bicepparam", "mode: 'serverless'", "mode: 'provisioned'", "none of the types of the union"),
    ("staging.bicepparam", "maxRequestUnits: 1000", "maxRequestUnits: 400", "against minValue"),
    ("dev.bicepparam", "    readEnvironmentVariable('OPENJIBO_DEV_ADDRESS')\n", "", "ipRanges: 0 is against minLength"),
    ("dev.bicepparam", "param storageSku = 'Standard_LRS'", "param storageSku = 'Premium_LRS'", "is not one of"),
    ("prod.bicepparam", "readEnvironmentVariable('OPENJIBO_SUBNET_ID')", "readEnvironmentVariable('OPENJIBO_SUBNET')", "not among the variables"),
    # types and properties
    ("modules/cosmos.bicep", "sqlDatabases@2024-11-15", "sqlDatabases@2023-04-15", "is not in check/types.json"),
    ("modules/storage.bicep", "allowBlobPublicAccess:", "allowPublicBlobAccess:", "has no property properties.allowPublicBlobAccess"),
    ("modules/storage.bicep", "minimumTlsVersion: 'TLS1_2'", "minimumTlsVersion: 'TLS12'", "can not be 'TLS12'"),
    ("modules/storage.bicep", "kind: 'StorageV2'\n", "", "kind is missing"),
    ("modules/logs.bicep", "retentionInDays: retentionDays", "retentionInDays: '${retentionDays}'", "is not of kind int"),
    # what the code expects
    ("modules/cosmos.bicep", "'/pk'\n", "'/id'\n", "another partition key"),
    ("modules/cosmos.bicep", "defaultTtl: -1", "defaultTtl: 3600", "another default TTL"),
    ("modules/cosmos.bicep", "path: '/pk/?'", "path: '/owner/?'", "needed by SELECT DISTINCT"),
    ("modules/cosmos.bicep", "path: '/*'", "path: '/value/*'", "the container excludes"),
    ("modules/storage.bicep", "var tables = [\n  'memory'\n", "var tables = [\n", "tables ['media', 'backups']"),
    ("modules/storage.bicep", "  'content'\n", "  'contents'\n", "containers ["),
    ("modules/storage.bicep", "[for table in tables: {\n  parent: tableService\n  name: '${prefix}${table}'", "[for table in tables: {\n  parent: tableService\n  name: table", "the code expects"),
    ("main.bicep", "output AZURE_COSMOS_REGION string", "output AZURE_COSMOS_REGIONS string", "no variable that AzureConfig reads"),
    ("main.bicep", "output OPENJIBO_STORE_PREFIX string = storePrefix\n", "", "the output OPENJIBO_STORE_PREFIX is None"),
    ("modules/cosmos.bicep", "'${location},${readRegion.name}' : location", "location : location", "the output AZURE_COSMOS_REGION"),
    # what a deployment is held to
    ("modules/cosmos.bicep", "enableMultipleWriteLocations: false", "enableMultipleWriteLocations: true", "several write regions"),
    ("modules/cosmos.bicep", "disableLocalAuth: true", "disableLocalAuth: false", "takes keys"),
    ("modules/cosmos.bicep", "minimalTlsVersion: 'Tls12'", "minimalTlsVersion: 'Tls11'", "old TLS"),
    ("modules/cosmos.bicep", "defaultConsistencyLevel: 'Session'", "defaultConsistencyLevel: 'Eventual'", "consistency"),
    ("modules/cosmos.bicep", "options: serverless ? {} : {", "options: !serverless ? {} : {", "serverless with a throughput"),
    ("modules/cosmos.bicep", "isZoneRedundant: capacity.?zoneRedundant ?? false", "isZoneRedundant: true", "serverless with regions or zones"),
    ("modules/cosmos.bicep", "if (locked)", "if (!locked)", "has the locks"),
    ("modules/keyvault.bicep", "if (locked)", "if (locked && false)", "has the locks"),
    ("prod.bicepparam", "'Continuous30Days'", "'Continuous7Days'", "less than 30 days of continuous backup"),
    ("prod.bicepparam", "'Standard_GZRS'", "'Standard_LRS'", "Standard_LRS in production"),
    ("prod.bicepparam", "blobRecoveryDays = 30", "blobRecoveryDays = 7", "less than 30 days of point-in-time restore"),
    ("modules/storage.bicep", "allowSharedKeyAccess: false", "allowSharedKeyAccess: true", "takes shared keys"),
    ("modules/storage.bicep", "defaultAction: 'Deny'", "defaultAction: 'Allow'", "does not deny by default"),
    ("modules/storage.bicep", "var keptDays = recoveryDays + 1", "var keptDays = recoveryDays", "shorter than the restore"),
    ("modules/storage.bicep", "isVersioningEnabled: true", "isVersioningEnabled: false", "versioning"),
    ("modules/storage.bicep", "              version: {", "              baseBlob: {", "has no property"),
    ("modules/keyvault.bicep", "enablePurgeProtection: true", "enablePurgeProtection: false", "without enablePurgeProtection"),
    ("modules/keyvault.bicep", "type: 'rotate'", "type: 'notify'", "is not rotated"),
    ("modules/network.bicep", "group: 'Sql'", "group: 'MongoDB'", "private endpoints for"),
    ("modules/network.bicep", "makesZones ? zones[i].id", "makesZones ? zones[0].id", "the name of table is in"),
    ("modules/cosmos.bicep", "network.mode == 'private' ? 'Disabled' : 'Enabled'", "'Enabled'", "some services are shut"),
    ("modules/cosmos.bicep", "ipRules: [for ipRange in ipRanges: {\n      ipAddressOrRange: ipRange\n    }]", "ipRules: empty(ipRanges) ? [] : []", "open to everybody"),
    ("modules/roles.bicep", "'0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'", "'b24988ac-6180-42a0-ab88-20f7382dd24c'", "is not one of the data plane"),
    ("modules/roles.bicep", "scope: '${cosmosAccount.id}/dbs/${databaseName}'", "scope: cosmosAccount.id", "reaches beyond the database"),
    ("modules/roles.bicep", "  scope: wrappingKey\n", "  scope: vault\n", "is given on Microsoft.KeyVault/vaults"),
    ("modules/roles.bicep", "guid(storageAccount.id, principalId, blobRoles[access])", "guid(storageAccount.id, blobRoles[access])", "is declared twice"),
    ("modules/roles.bicep", "access == 'write' ? principalIds : []", "principalIds", "has the roles"),
    ("modules/roles.bicep", "name: guid(storageAccount.id, principalId, tableRoles[access])", "name: 'table-${principalId}'", "can not be named"),
    ("modules/keyvault.bicep", "resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {", "resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (locked) {", "has 0 diagnostic settings"),
    ("modules/alerts.bicep", "          '429'\n", "          '503'\n", "no alert for 429"),
    ("modules/alerts.bicep", "applies: capacity.mode == 'autoscale'", "applies: capacity.mode == 'serverless'", "no alert for request units"),
    ("modules/alerts.bicep", "metric: 'UsedCapacity'", "metric: 'CapacityUsed'", "there is no metric CapacityUsed"),
    ("modules/alerts.bicep", "    metric: 'ServiceAvailability'\n    aggregation: 'Average'", "    metric: 'ServiceAvailability'\n    aggregation: 'Count'", "has no Count"),
    ("modules/alerts.bicep", "scope: tablesId", "scope: empty(tablesId) ? tablesId : storageId", "is not what it watches"),
    ("modules/alerts.bicep", "name: 'cosmos-data'", "name: 'cosmos-datas'", "says nothing about the alert cosmos-datas"),
    ("modules/budget.bicep", "startDate: startDate", "startDate: '${startDate}T00:00:00Z'", "first of a month"),
    ("main.bicep", "  environment: environmentName\n", "", "has no tag environment"),
    ("main.bicep", "take(unique, 10)", "unique", "can not be named"),
    # templates
    ("second-region.bicepparam", "using './second-region.bicep'", "using './main.bicep'", "no parameter file is for it"),
    ("second-region.bicepparam", "param vaultId = readEnvironmentVariable('OPENJIBO_VAULT_ID')\n", "", "parameter vaultId is missing"),
    ("second-region.bicep", "    vaultId: vaultId\n", "    vaultId: empty(vaultId) ? vaultId : storageId\n", "the private endpoint for vault leads to"),
    ("second-region.bicep", "      subnetId: subnetId\n", "      subnetId: '${subnetId}/subnets/x'\n", "is in another subnet"),
    ("main.bicep", "module identity 'modules/identity.bicep'", "module identity 'modules/logs.bicep'", "no template uses it"),
    # private DNS
    ("modules/network.bicep", "'privatelink.documents.azure.com'", "'privatelink.document.azure.com'", "not in privatelink.documents.azure.com"),
    ("modules/network.bicep", "'privatelink.vaultcore.azure.net'", "'privatelink.vault.azure.net'", "not in privatelink.vaultcore.azure.net"),
    ("modules/network.bicep", "'privatelink.table.${storageSuffix}'", "'privatelink.tables.${storageSuffix}'", "not in privatelink.table.core.windows.net"),
    ("modules/network.bicep", "'privatelink.blob.${storageSuffix}'", "'privatelink.blobs.${storageSuffix}'", "not in privatelink.blob.core.windows.net"),
    ("modules/network.bicep", "    group: 'Sql'\n    target: cosmosId", "    group: 'Sql'\n    target: empty(cosmosId) ? cosmosId : storageId", "the private endpoint for Sql leads to"),
    ("modules/network.bicep", "/privateDnsZones/${service.zone}'", "/privateDnsZones/${service.name}'", "the name of Sql is in"),
    ("modules/network.bicep", "var makesZones = empty(dnsResourceGroupId)", "var makesZones = empty(dnsResourceGroupId) || true", "private endpoints without their DNS zones"),
    ("modules/network.bicep", "split(network.subnetId, '/subnets/')[0]", "network.subnetId", "is linked to"),
    # logs
    ("modules/keyvault.bicep", "category: 'AuditEvent'", "category: 'AuditEvents'", "has no log category AuditEvents"),
    ("modules/cosmos.bicep", "category: 'PartitionKeyStatistics'\n        enabled: true", "category: 'PartitionKeyStatistics'\n        enabled: false", "PartitionKeyStatistics is off"),
    ("modules/cosmos.bicep", "category: 'PartitionKeyRUConsumption'\n        enabled: true", "category: 'PartitionKeyRUConsumption'\n        enabled: requestLogs", "PartitionKeyRUConsumption is off"),
    ("modules/cosmos.bicep", "    logAnalyticsDestinationType: 'Dedicated'\n", "    logAnalyticsDestinationType: 'AzureDiagnostics'\n", "logs to AzureDiagnostics"),
    ("modules/cosmos.bicep", "    logAnalyticsDestinationType: 'Dedicated'\n", "", "KeyError('logAnalyticsDestinationType')"),
    ("modules/cosmos.bicep", "category: 'DataPlaneRequests'\n        enabled: requestLogs", "category: 'DataPlaneRequests'\n        enabled: requestLogs || true", "DataPlaneRequests is on"),
    ("modules/storage.bicep", "category: 'StorageRead'\n        enabled: requestLogs", "category: 'StorageRead'\n        enabled: requestLogs || true", "StorageRead is on"),
    ("modules/storage.bicep", "category: 'StorageWrite'\n        enabled: requestLogs", "category: 'StorageWrite'\n        enabled: requestLogs || true", "StorageWrite is on"),
    ("modules/cosmos.bicep", "category: 'DataPlaneRequests'\n        enabled: requestLogs", "category: 'DataPlaneRequests'\n        enabled: requestLogs && false", "DataPlaneRequests is off"),
    ("modules/storage.bicep", "category: 'Transaction'", "category: 'Transactions'", "sends the metrics ['Transactions']"),
    ("staging.bicepparam", "requestLogs: false", "requestLogs: true", "single requests are logged outside of development"),
    ("prod.bicepparam", "requestLogs: false", "requestLogs: true", "single requests are logged outside of development"),
    # alerts
    ("modules/alerts.bicep", "aggregation: 'Average'\n    operator: 'LessThan'", "aggregation: 'Average'\n    operator: 'GreaterThan'", "is the good side of ServiceAvailability"),
    ("modules/alerts.bicep", "metric: 'TotalRequests'\n    aggregation: 'Count'\n    operator: 'GreaterThan'", "metric: 'TotalRequests'\n    aggregation: 'Count'\n    operator: 'LessThan'", "is the good side of TotalRequests"),
    ("modules/alerts.bicep", "          operator: 'GreaterThan'\n", "          operator: 'LessThan'\n", "LessThan is the good side"),
    ("modules/alerts.bicep", "severity: rule.severity\n    enabled: true\n    autoMitigate: true\n    scopes: [\n      rule.scope", "severity: rule.severity\n    enabled: false\n    autoMitigate: true\n    scopes: [\n      rule.scope", "cosmos-throttled-ojibo-dev: is off"),
    ("modules/alerts.bicep", "enabled: true\n    autoMitigate: true\n    skip", "enabled: false\n    autoMitigate: true\n    skip", "cosmos-partition-size-ojibo-dev: is off"),
    ("modules/alerts.bicep", "    enabled: true\n    scopes: [\n      resourceGroup().id", "    enabled: false\n    scopes: [\n      resourceGroup().id", "resource-health-ojibo-dev: is off"),
    ("modules/alerts.bicep", "    enabled: true\n    emailReceivers", "    enabled: false\n    emailReceivers", "the action group is off"),
    ("modules/alerts.bicep", "window: 'P1D'", "window: 'PT6H'", "the windowSize of UsedCapacity is at least P1D"),
    ("modules/alerts.bicep", "window: 'P1D'\n    frequency: 'PT1H'", "window: 'P1D'\n    frequency: 'PT5M'", "the evaluationFrequency of UsedCapacity is at least PT1H"),
    ("modules/alerts.bicep", "window: 'PT1H'\n    frequency: 'PT15M'\n    dimensions", "window: 'PT30M'\n    frequency: 'PT15M'\n    dimensions", "the windowSize of ServiceAvailability is at least PT1H"),
    ("modules/alerts.bicep", "window: 'PT5M'\n    frequency: 'PT5M'\n    // Each", "window: 'PT1M'\n    frequency: 'PT1M'\n    // Each", "the windowSize of DataUsage is at least PT5M"),
    ("modules/alerts.bicep", "        name: 'Region'\n", "        name: 'DatabaseNames'\n", "DataUsage has no dimension DatabaseNames"),
    ("modules/alerts.bicep", "name: 'PartitionKeyRangeId'\n        operator: 'Include'", "name: 'PartitionKeyRangeId'\n        operator: 'Exclude'", "leaves out what it is to count"),
    ("modules/alerts.bicep", "metric: 'RegionFailover'", "metric: 'ReplicationLatency'", "no alert for a failover"),
    ("modules/alerts.bicep", "'CDBPartitionKeyStatistics |", "'CDBPartitionKeyStatistic |", "there is no table CDBPartitionKeyStatistic "),
    ("modules/alerts.bicep", "max(SizeKb)", "max(SizeKB)", "CDBPartitionKeyStatistics has no column SizeKB"),
    ("modules/alerts.bicep", "sum(RequestCharge)", "sum(RequestUnits)", "CDBPartitionKeyRUConsumption has no column RequestUnits"),
    ("modules/alerts.bicep", "column: 'Gigabytes'", "column: 'Gigabyte'", "the query gives no Gigabyte"),
    ("modules/alerts.bicep", "equals: 'ResourceHealth'", "equals: 'ServiceHealth'", "is not for resource health"),
    ("modules/alerts.bicep", "equals: 'Degraded'", "equals: 'Available'", "resource health tells of"),
    ("modules/alerts.bicep", "    scopes: [\n      resourceGroup().id\n", "    scopes: [\n      workspaceId\n", "resource health is watched of"),
    ("modules/alerts.bicep", "    name: 'vault-denied'\n    applies: true\n    description: 'Key Vault refuses requests with 403: a role, the network rules, or a stranger.'\n    severity: 2", "    name: 'vault-denied'\n    applies: true\n    description: 'Key Vault refuses requests with 403: a role, the network rules, or a stranger.'\n    severity: 1", "vault-denied is of severity 1"),
    ("modules/workbook.json", "Requests-NormalizedRUConsumption", "Requests-NormalizedRUs", "there is no metric NormalizedRUs"),
    ("modules/workbook.json", "\"aggregation\": 7", "\"aggregation\": 4", "TotalRequests has no Average"),
    ("modules/workbook.json", "\"splitBy\": \"ResponseType\"", "\"splitBy\": \"ResponseTypes\"", "Transactions has no dimension ResponseTypes"),
    ("modules/workbook.json", "sum(RequestCharge)", "sum(RequestCharges)", "has no column RequestCharges"),
    ("modules/workbook.json", "__VAULT_ID__", "__STORAGE_ID__", "shows another deployment"),
    ("modules/budget.bicep", "enabled: true", "enabled: false", "of the budget is off"),
    # key and vault
    ("modules/keyvault.bicep", "timeAfterCreate: 'P1Y'", "timeAfterCreate: 'P1D'", "is rotated after P1D"),
    ("modules/keyvault.bicep", "timeAfterCreate: 'P1Y'", "timeAfterCreate: '1Y'", "is rotated after 1Y"),
    ("modules/keyvault.bicep", "expiryTime: 'P2Y'", "expiryTime: 'P12M'", "expires after P12M"),
    ("modules/keyvault.bicep", "softDeleteRetentionInDays: 90", "softDeleteRetentionInDays: 7", "for less than 90 days"),
    ("modules/keyvault.bicep", "= if (createKey) {", "= if (createKey || true) {", "that was not to be looked at"),
    # order
    ("modules/roles.bicep", "@batchSize(1)\n", "", "cosmosAssignments are not made one at a time"),
    ("modules/network.bicep", "@batchSize(1)\n", "@batchSize(4)\n", "endpoints are not made one at a time"),
    ("main.bicep", "    vault\n    endpoints\n  ]", "    vault\n  ]", "endpoints and identityRoles are made at once"),
    ("main.bicep", "    keyName: keyName\n  }\n  dependsOn: [\n    identityRoles\n  ]", "    keyName: keyName\n  }\n  dependsOn: [\n    vault\n  ]", "identityRoles and appRoles are made at once"),
    ("main.bicep", "  dependsOn: [\n    appRoles\n  ]", "  dependsOn: [\n    identityRoles\n  ]", "appRoles and operatorRoles are made at once"),
    ("main.bicep", "    locked: locked\n  }\n  dependsOn: [\n    workspace\n  ]", "    locked: locked\n  }", "cosmos does not wait for workspace"),
    ("main.bicep", "    cosmos\n    storage\n    vault\n  ]\n}\n\n// One", "    cosmos\n    storage\n  ]\n}\n\n// One", "endpoints does not wait for vault"),
    # Cosmos DB, names, places
    ("modules/cosmos.bicep", "networkAclBypass: 'None'", "networkAclBypass: 'AzureServices'", "lets services of Azure past"),
    ("modules/cosmos.bicep", "disableKeyBasedMetadataWriteAccess: true", "disableKeyBasedMetadataWriteAccess: false", "keys may change databases"),
    ("modules/roles.bicep", "'${cosmosAccount.id}/sqlRoleDefinitions/${cosmosRoles[access]}'", "subscriptionResourceId('Microsoft.Authorization/roleDefinitions', cosmosRoles[access])", "is looked for in"),
    ("modules/roles.bicep", "'00000000-0000-0000-0000-000000000002'", "'b24988ac-6180-42a0-ab88-20f7382dd24c'", "is not one of the data plane"),
    ("modules/roles.bicep", "write: '00000000-0000-0000-0000-000000000002'", "write: '00000000-0000-0000-0000-000000000001'", "has the roles"),
    ("main.bicep", "uniqueString(resourceGroup().id)", "uniqueString(subscription().id)", "has the same name in"),
    ("main.bicep", "uniqueString(resourceGroup().id)", "uniqueString(resourceGroup().name)", "has the same name in"),
    ("modules/storage.bicep", "  location: location\n", "  location: empty(location) ? location : 'northeurope'\n", "is in northeurope"),
    ("modules/cosmos.bicep", "  locationName: location\n", "  locationName: 'westus'\n", "Cosmos DB writes in westus"),
    # secrets and surprises
    ("modules/cosmos.bicep", "account.properties.documentEndpoint", "account.listKeys().primaryMasterKey", "asks for keys"),
    ("main.bicep", "param databaseName string = 'openjibo'", "@secure()\nparam databaseName string = 'openjibo'", "is a secret parameter"),
    ("modules/budget.bicep", "startDate: startDate", "startDate: utcNow('yyyy-MM-01')", "another on each deployment"),
    ("modules/storage.bicep", ":No service of Azure is let in past the network rules: nothing here needs one", ":later", "a skip without a reason"),
]


def main(files: evaluate.Files, check) -> int:
    """Every fault is found; `check(files)` answers the problems of a set of files."""
    missed = []
    for path, old, new, words in FAULTS:
        source = (files.folder / path).read_text(encoding="utf-8")
        assert old in source, f"{path} has no {old!r} to plant a fault in"
        try:
            found = check(files.changed(path, source.replace(old, new, 1)))
        except syntax.Problem as problem:
            found = [str(problem)]
        if not any(words in problem for problem in found):
            missed.append(f"{path}: {old!r} -> {new!r} is not found by {words!r}, but by {found[:4]}")
    assert not missed, "\n".join(missed)
    return len(FAULTS)
