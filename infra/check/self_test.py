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
    ("modules/logs.bicep", "output id string = workspace.id", "output id string = workspace.id\noutput name string = workspace.name", "output name is not used"),
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
    ("modules/network.bicep", "privateDnsZoneId: zones[i].id", "privateDnsZoneId: zones[0].id", "without their DNS zones"),
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
    ("modules/alerts.bicep", "applies: capacityMode == 'autoscale'", "applies: capacityMode == 'serverless'", "no alert for request units"),
    ("modules/alerts.bicep", "metric: 'UsedCapacity'", "metric: 'CapacityUsed'", "there is no metric CapacityUsed"),
    ("modules/alerts.bicep", "    metric: 'ServiceAvailability'\n    aggregation: 'Average'", "    metric: 'ServiceAvailability'\n    aggregation: 'Count'", "has no Count"),
    ("modules/alerts.bicep", "scope: tablesId", "scope: empty(tablesId) ? tablesId : storageId", "is not what it watches"),
    ("modules/alerts.bicep", "name: 'cosmos-data'", "name: 'cosmos-datas'", "says nothing about the alert cosmos-datas"),
    ("modules/budget.bicep", "startDate: startDate", "startDate: '${startDate}T00:00:00Z'", "first of a month"),
    ("main.bicep", "  environment: environmentName\n", "", "has no tag environment"),
    ("main.bicep", "take(unique, 10)", "unique", "can not be named"),
    # secrets and surprises
    ("modules/cosmos.bicep", "output name string = account.name", "output name string = account.listKeys().primaryMasterKey", "asks for keys"),
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
