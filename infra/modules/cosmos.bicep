// Cosmos DB for NoSQL: identity and topology. One account, one database, one container.

param name string
param location string
param tags object
param databaseName string
param containerName string

@description('`capacityType` of main.bicep.')
param capacity object

param backupTier string

@description('`networkType` of main.bicep.')
param network object

param workspaceId string
param requestLogs bool
param locked bool

var serverless = capacity.mode == 'serverless'
var readRegion = capacity.?readRegion
var hasSecond = readRegion != null
var subnetIds = network.?subnetIds ?? []
var ipRanges = network.?ipRanges ?? []

var writeLocation = {
  locationName: location
  failoverPriority: 0
  isZoneRedundant: capacity.?zoneRedundant ?? false
}
// The second one is read-only: `enableMultipleWriteLocations` is false. ETags do not hold across write regions.
var locations = hasSecond ? [
  writeLocation
  {
    locationName: readRegion.name
    failoverPriority: 1
    isZoneRedundant: readRegion.zoneRedundant
  }
] : [
  writeLocation
]

resource account 'Microsoft.DocumentDB/databaseAccounts@2024-11-15' = {
  // only dev: checkov:skip=CKV_AZURE_101:Development is reachable from the developers' addresses, and denies all others
  name: name
  location: location
  tags: tags
  kind: 'GlobalDocumentDB'
  properties: {
    databaseAccountOfferType: 'Standard'
    capabilities: serverless ? [
      {
        name: 'EnableServerless'
      }
    ] : []
    consistencyPolicy: {
      defaultConsistencyLevel: 'Session'
    }
    locations: locations
    enableMultipleWriteLocations: false
    enableAutomaticFailover: hasSecond
    backupPolicy: {
      type: 'Continuous'
      continuousModeProperties: {
        tier: backupTier
      }
    }
    disableLocalAuth: true
    disableKeyBasedMetadataWriteAccess: true
    minimalTlsVersion: 'Tls12'
    publicNetworkAccess: network.mode == 'private' ? 'Disabled' : 'Enabled'
    networkAclBypass: 'None'
    isVirtualNetworkFilterEnabled: !empty(subnetIds)
    virtualNetworkRules: [for subnetId in subnetIds: {
      id: subnetId
    }]
    ipRules: [for ipRange in ipRanges: {
      ipAddressOrRange: ipRange
    }]
  }
}

resource database 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases@2024-11-15' = {
  parent: account
  name: databaseName
  tags: tags
  properties: {
    resource: {
      id: databaseName
    }
  }
}

resource container 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2024-11-15' = {
  parent: database
  name: containerName
  tags: tags
  properties: {
    resource: {
      id: containerName
      partitionKey: {
        paths: [
          '/pk'
        ]
        kind: 'Hash'
        version: 2
      }
      // On, and no item expires unless it carries its own `ttl`: tombstones, evidence and idempotency rows do.
      defaultTtl: -1
      indexingPolicy: {
        indexingMode: 'consistent'
        automatic: true
        includedPaths: [
          {
            path: '/pk/?'
          }
        ]
        excludedPaths: [
          {
            path: '/*'
          }
        ]
      }
    }
    options: serverless ? {} : {
      autoscaleSettings: {
        maxThroughput: capacity.?maxRequestUnits ?? 1000
      }
    }
  }
}

// Never the text of a query; DataPlaneRequests has the ids of items, so it is off unless asked for. Metrics are there without a setting.
resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: account
  name: 'to-logs'
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated'
    logs: [
      {
        category: 'ControlPlaneRequests'
        enabled: true
      }
      {
        category: 'PartitionKeyStatistics'
        enabled: true
      }
      {
        category: 'PartitionKeyRUConsumption'
        enabled: true
      }
      {
        category: 'DataPlaneRequests'
        enabled: requestLogs
      }
    ]
  }
}

resource lock 'Microsoft.Authorization/locks@2020-05-01' = if (locked) {
  scope: account
  name: 'keep'
  properties: {
    level: 'CanNotDelete'
    notes: 'Holds identity and topology of every household.'
  }
}

output endpoint string = account.properties.documentEndpoint
output databaseName string = database.name
output containerName string = container.name
output regions string = hasSecond ? '${location},${readRegion.name}' : location
