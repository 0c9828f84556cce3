// Everything that one deployment of openjibo-store needs, in one resource group. Deploying again changes nothing that has not changed
// here, and nothing in these files deletes data. What the code expects of it is stated in src/azure/names.rs, and compared by a test.

targetScope = 'resourceGroup'

// Types: combinations that must not be are not expressible.

@description('How request units are bought. Serverless has neither a second region nor zones, so it has no fields for them.')
@discriminator('mode')
type capacityType = serverlessType | autoscaleType

@sealed()
type serverlessType = {
  mode: 'serverless'
}

@sealed()
type autoscaleType = {
  mode: 'autoscale'

  @description('Upper end of the autoscale range in request units per second; a tenth of it is the least that is billed. A multiple of 1,000.')
  @minValue(1000)
  maxRequestUnits: int

  @description('Whether the write region spreads over availability zones. Only some regions have them.')
  zoneRedundant: bool

  @description('A second region, for reads and for failover. It never takes writes while the first one does.')
  readRegion: regionType?
}

@sealed()
type regionType = {
  @description('Name of the region, as `az account list-locations` prints it.')
  name: string

  zoneRedundant: bool
}

@description('Who reaches Cosmos DB, Storage and Key Vault. Every mode denies by default; the lists can not be empty.')
@discriminator('mode')
type networkType = privateNetworkType | subnetsNetworkType | addressesNetworkType

@sealed()
type privateNetworkType = {
  mode: 'private'

  @description('Resource id of the subnet that takes the private endpoints. Its virtual network is linked to the private DNS zones.')
  @minLength(1)
  subnetId: string

  @description('Resource id of the resource group that has the four zones already, linked to the network. Without it they are made here.')
  dnsResourceGroupId: string?
}

@sealed()
type subnetsNetworkType = {
  mode: 'subnets'

  @description('Resource ids of subnets with the service endpoints Microsoft.AzureCosmosDB, Microsoft.Storage and Microsoft.KeyVault.')
  @minLength(1)
  subnetIds: string[]
}

@sealed()
type addressesNetworkType = {
  mode: 'addresses'

  @description('Public IPv4 addresses, or ranges in CIDR notation of at most /30. Storage does not take private ranges.')
  @minLength(1)
  ipRanges: string[]
}

@sealed()
type logsType = {
  @description('How long the workspace keeps what it is sent, in days.')
  @minValue(30)
  @maxValue(730)
  retentionDays: int

  @description('Most that the workspace takes in a day, in GB; -1 is no limit.')
  @minValue(-1)
  dailyCapGb: int

  @description('Whether single requests are logged too: for the time of an investigation. The logs then hold keys of records.')
  requestLogs: bool
}

@sealed()
type thresholdsType = {
  @description('Requests that Cosmos DB refused with 429 within 5 minutes.')
  @minValue(1)
  cosmosThrottled: int

  @description('Data in the Cosmos DB account, in GB.')
  @minValue(1)
  cosmosDataGb: int

  @description('Server-side time of a Cosmos DB request, in milliseconds, mean of 15 minutes.')
  @minValue(1)
  cosmosLatencyMs: int

  @description('Requests that Storage refused as busy within 5 minutes.')
  @minValue(1)
  storageThrottled: int

  @description('Data in the storage account, in GB.')
  @minValue(1)
  storageGb: int

  @description('Server-side time of a Table request, in milliseconds, mean of 15 minutes.')
  @minValue(1)
  tableLatencyMs: int

  @description('Server-side time of a Blob request, in milliseconds, mean of 15 minutes.')
  @minValue(1)
  blobLatencyMs: int
}

@sealed()
type budgetType = {
  @description('A month of the resource group, in the currency of the subscription.')
  @minValue(1)
  amount: int

  @description('First day of the month of the first deployment, as yyyy-MM-01. It can not be changed afterwards.')
  startDate: string
}

// Parameters

@description('Which environment this is: part of every name and tag. Production is locked.')
param environmentName 'dev' | 'staging' | 'prod'

@description('Begins the names of resources, after the prefix of their kind: lower-case letters and digits.')
@minLength(2)
@maxLength(5)
param workload string = 'ojibo'

@description('Region of everything, and the write region of Cosmos DB.')
param location string = resourceGroup().location

@description('Tags beside `environment`, `workload` and `managedBy`.')
param extraTags object = {}

@description('Before table and blob container names: a lower-case letter and up to 15 lower-case letters and digits, or empty.')
@maxLength(16)
param storePrefix string = ''

@description('Another Cosmos DB account than the one named here: after a restore, which makes a new one.')
@maxLength(44)
param cosmosAccountName string = ''

@description('Name of the Cosmos DB database.')
param databaseName string = 'openjibo'

@description('Name of the Cosmos DB container.')
param containerName string = 'records'

@description('How request units are bought.')
param capacity capacityType

@description('How far back Cosmos DB can be restored to any second.')
param cosmosBackup 'Continuous7Days' | 'Continuous30Days'

@description('Redundancy of the storage account.')
param storageSku 'Standard_LRS' | 'Standard_ZRS' | 'Standard_GZRS'

@description('How many days back blobs can be restored to any second. Deleted blobs and old versions are kept one day longer, then expire.')
@minValue(1)
@maxValue(364)
param blobRecoveryDays int

@description('Who reaches the services.')
param network networkType

@description('False: the wrapping key is there and is not looked at. For when Azure refuses to, because the key was rotated.')
param createWrappingKey bool = true

@description('Object ids of principals, beside the identity that is made here, that read and write the data.')
param appPrincipalIds string[] = []

@description('Object ids of principals, best a group, that read the data and change nothing.')
param operatorPrincipalIds string[] = []

@description('Log Analytics.')
param logs logsType

@description('E-mail addresses that alerts and the budget go to.')
@minLength(1)
param alertEmails string[]

@description('Where alerts begin.')
param thresholds thresholdsType

@description('The budget of the resource group.')
param budget budgetType

// Names

var shortNames = {
  dev: 'dev'
  staging: 'stg'
  prod: 'prd'
}
var short = shortNames[environmentName]
var unique = uniqueString(resourceGroup().id)
var locked = environmentName == 'prod'
// Known before anything is deployed, so that what-if can look into every module.
var cosmosName = empty(cosmosAccountName) ? 'cosmos-${workload}-${short}-${unique}' : cosmosAccountName
var storageName = 'st${workload}${short}${unique}'
var vaultName = 'kv-${workload}-${short}-${take(unique, 10)}'
var keyName = 'openjibo-wrapping'
var workspaceName = 'log-${workload}-${short}'
var cosmosId = resourceId('Microsoft.DocumentDB/databaseAccounts', cosmosName)
var storageId = resourceId('Microsoft.Storage/storageAccounts', storageName)
var vaultId = resourceId('Microsoft.KeyVault/vaults', vaultName)
var workspaceId = resourceId('Microsoft.OperationalInsights/workspaces', workspaceName)
var tags = union(extraTags, {
  environment: environmentName
  workload: 'openjibo-store'
  managedBy: 'bicep'
})

module identity 'modules/identity.bicep' = {
  name: 'identity'
  params: {
    name: 'id-${workload}-${short}'
    location: location
    tags: tags
  }
}

module workspace 'modules/logs.bicep' = {
  name: 'logs'
  params: {
    name: workspaceName
    location: location
    tags: tags
    retentionDays: logs.retentionDays
    dailyCapGb: logs.dailyCapGb
  }
}

module cosmos 'modules/cosmos.bicep' = {
  name: 'cosmos'
  params: {
    name: cosmosName
    location: location
    tags: tags
    databaseName: databaseName
    containerName: containerName
    capacity: capacity
    backupTier: cosmosBackup
    network: network
    workspaceId: workspaceId
    requestLogs: logs.requestLogs
    locked: locked
  }
  dependsOn: [
    workspace
  ]
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  params: {
    name: storageName
    location: location
    tags: tags
    sku: storageSku
    prefix: storePrefix
    recoveryDays: blobRecoveryDays
    network: network
    workspaceId: workspaceId
    requestLogs: logs.requestLogs
    locked: locked
  }
  dependsOn: [
    workspace
  ]
}

module vault 'modules/keyvault.bicep' = {
  name: 'keyvault'
  params: {
    name: vaultName
    keyName: keyName
    createKey: createWrappingKey
    location: location
    tags: tags
    network: network
    workspaceId: workspaceId
    locked: locked
  }
  dependsOn: [
    workspace
  ]
}

module endpoints 'modules/network.bicep' = if (network.mode == 'private') {
  name: 'network'
  params: {
    nameSuffix: '${workload}-${short}'
    location: location
    tags: tags
    network: network
    cosmosId: cosmosId
    storageId: storageId
    vaultId: vaultId
  }
  dependsOn: [
    cosmos
    storage
    vault
  ]
}

// One after the other, and after the private endpoints: a Cosmos DB account takes one change at a time.
module identityRoles 'modules/roles.bicep' = {
  name: 'roles-identity'
  params: {
    access: 'write'
    principalIds: [
      identity.outputs.principalId
    ]
    principalType: 'ServicePrincipal'
    cosmosAccountName: cosmosName
    databaseName: databaseName
    storageAccountName: storageName
    vaultName: vaultName
    keyName: keyName
  }
  dependsOn: [
    cosmos
    storage
    vault
    endpoints
  ]
}

module appRoles 'modules/roles.bicep' = {
  name: 'roles-apps'
  params: {
    access: 'write'
    principalIds: appPrincipalIds
    cosmosAccountName: cosmosName
    databaseName: databaseName
    storageAccountName: storageName
    vaultName: vaultName
    keyName: keyName
  }
  dependsOn: [
    identityRoles
  ]
}

module operatorRoles 'modules/roles.bicep' = {
  name: 'roles-operators'
  params: {
    access: 'read'
    principalIds: operatorPrincipalIds
    cosmosAccountName: cosmosName
    databaseName: databaseName
    storageAccountName: storageName
    vaultName: vaultName
    keyName: keyName
  }
  dependsOn: [
    appRoles
  ]
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  params: {
    nameSuffix: '${workload}-${short}'
    location: location
    tags: tags
    emails: alertEmails
    capacity: capacity
    cosmosId: cosmosId
    storageId: storageId
    vaultId: vaultId
    workspaceId: workspaceId
    thresholds: thresholds
  }
  dependsOn: [
    cosmos
    storage
    vault
    workspace
  ]
}

module spending 'modules/budget.bicep' = {
  name: 'budget'
  params: {
    name: 'budget-${workload}-${short}'
    amount: budget.amount
    startDate: budget.startDate
    emails: alertEmails
    actionGroupId: alerts.outputs.actionGroupId
  }
}

module overview 'modules/workbook.bicep' = {
  name: 'workbook'
  params: {
    displayName: 'openjibo-store ${environmentName}'
    location: location
    tags: tags
    cosmosId: cosmosId
    storageId: storageId
    vaultId: vaultId
    workspaceId: workspaceId
  }
  dependsOn: [
    cosmos
    storage
    vault
    workspace
  ]
}

// Outputs are the variables that `AzureConfig` reads, and nothing else. On emulators only AZURE_COSMOS_KEY and
// AZURE_STORAGE_CONNECTION_STRING are added.

@description('URL of the Cosmos DB account.')
output AZURE_COSMOS_ENDPOINT string = cosmos.outputs.endpoint

output AZURE_COSMOS_DATABASE_NAME string = cosmos.outputs.databaseName

output AZURE_COSMOS_CONTAINER_NAME string = cosmos.outputs.containerName

@description('Every region of the account, the one of this deployment first: nearest first for an application that runs there.')
output AZURE_COSMOS_REGION string = cosmos.outputs.regions

output AZURE_STORAGE_ACCOUNT_NAME string = storage.outputs.name

output AZURE_STORAGE_BLOB_ENDPOINT string = storage.outputs.blobEndpoint

output AZURE_STORAGE_TABLE_ENDPOINT string = storage.outputs.tableEndpoint

@description('For an application that runs as the identity made here.')
output AZURE_TOKEN_CREDENTIALS string = 'ManagedIdentityCredential'

@description('Client id of the identity made here.')
output AZURE_CLIENT_ID string = identity.outputs.clientId

output OPENJIBO_STORE_PREFIX string = storePrefix
