// What wakes somebody up. docs/runbooks/recover.md says of each alert what it means and what to do, under its name here.

param nameSuffix string
param location string
param tags object
param emails array

@description('`capacityType` of main.bicep.')
param capacity object

param cosmosId string
param storageId string
param vaultId string
param workspaceId string

@description('`thresholdsType` of main.bicep.')
param thresholds object

var hasReadRegion = capacity.?readRegion != null
var gigabyte = 1024 * 1024 * 1024
var cosmosSpace = 'Microsoft.DocumentDB/databaseAccounts'
var storageSpace = 'Microsoft.Storage/storageAccounts'
var tableSpace = 'Microsoft.Storage/storageAccounts/tableServices'
var blobSpace = 'Microsoft.Storage/storageAccounts/blobServices'
var vaultSpace = 'Microsoft.KeyVault/vaults'
var tablesId = '${storageId}/tableServices/default'
var blobsId = '${storageId}/blobServices/default'

// Severity: 1 somebody acts now, 2 within the hour, 3 on the next working day.
var metricRules = [
  {
    name: 'cosmos-throttled'
    applies: true
    description: 'Cosmos DB refuses requests with 429: more request units are asked for than there are, in all or in one partition.'
    severity: 2
    scope: cosmosId
    space: cosmosSpace
    metric: 'TotalRequests'
    aggregation: 'Count'
    operator: 'GreaterThan'
    threshold: thresholds.cosmosThrottled
    window: 'PT5M'
    frequency: 'PT1M'
    dimensions: [
      {
        name: 'StatusCode'
        operator: 'Include'
        values: [
          '429'
        ]
      }
    ]
  }
  {
    name: 'cosmos-request-units'
    applies: capacity.mode == 'autoscale'
    description: 'A physical partition of Cosmos DB uses more than 80 % of its request units.'
    severity: 2
    scope: cosmosId
    space: cosmosSpace
    metric: 'NormalizedRUConsumption'
    aggregation: 'Average'
    operator: 'GreaterThan'
    threshold: 80
    window: 'PT15M'
    frequency: 'PT5M'
    dimensions: [
      {
        name: 'PartitionKeyRangeId'
        operator: 'Include'
        values: [
          '*'
        ]
      }
    ]
  }
  {
    name: 'cosmos-availability'
    applies: true
    description: 'Cosmos DB answered less than 99.9 % of the requests of an hour.'
    severity: 1
    scope: cosmosId
    space: cosmosSpace
    metric: 'ServiceAvailability'
    aggregation: 'Average'
    operator: 'LessThan'
    threshold: json('99.9')
    window: 'PT1H'
    frequency: 'PT15M'
    dimensions: []
  }
  {
    name: 'cosmos-latency'
    applies: true
    description: 'Cosmos DB itself takes long, network apart.'
    severity: 3
    scope: cosmosId
    space: cosmosSpace
    metric: 'ServerSideLatencyGateway'
    aggregation: 'Average'
    operator: 'GreaterThan'
    threshold: thresholds.cosmosLatencyMs
    window: 'PT15M'
    frequency: 'PT5M'
    dimensions: []
  }
  {
    name: 'cosmos-denied'
    applies: true
    description: 'Cosmos DB refuses requests with 401 or 403: a role, the network rules, or a stranger.'
    severity: 2
    scope: cosmosId
    space: cosmosSpace
    metric: 'TotalRequests'
    aggregation: 'Count'
    operator: 'GreaterThan'
    threshold: 5
    window: 'PT5M'
    frequency: 'PT1M'
    dimensions: [
      {
        name: 'StatusCode'
        operator: 'Include'
        values: [
          '401'
          '403'
        ]
      }
    ]
  }
  {
    name: 'cosmos-data'
    applies: true
    description: 'Cosmos DB holds more data than planned.'
    severity: 3
    scope: cosmosId
    space: cosmosSpace
    metric: 'DataUsage'
    aggregation: 'Total'
    operator: 'GreaterThan'
    threshold: thresholds.cosmosDataGb * gigabyte
    window: 'PT5M'
    frequency: 'PT5M'
    // Each region holds all of it.
    dimensions: [
      {
        name: 'Region'
        operator: 'Include'
        values: [
          '*'
        ]
      }
    ]
  }
  {
    name: 'cosmos-region-failover'
    applies: hasReadRegion
    description: 'Cosmos DB writes in the other region now. Nothing is deployed until it is back.'
    severity: 1
    scope: cosmosId
    space: cosmosSpace
    metric: 'RegionFailover'
    aggregation: 'Count'
    operator: 'GreaterThan'
    threshold: 0
    window: 'PT5M'
    frequency: 'PT1M'
    dimensions: []
  }
  {
    name: 'cosmos-replication'
    applies: hasReadRegion
    description: 'The second region of Cosmos DB is more than 10 seconds behind: what a failover now would lose.'
    severity: 2
    scope: cosmosId
    space: cosmosSpace
    metric: 'ReplicationLatency'
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: 10000
    window: 'PT15M'
    frequency: 'PT5M'
    dimensions: []
  }
  {
    name: 'storage-throttled'
    applies: true
    description: 'Storage refuses requests as busy: a table partition or the account is at its target.'
    severity: 2
    scope: storageId
    space: storageSpace
    metric: 'Transactions'
    aggregation: 'Total'
    operator: 'GreaterThan'
    threshold: thresholds.storageThrottled
    window: 'PT5M'
    frequency: 'PT1M'
    dimensions: [
      {
        name: 'ResponseType'
        operator: 'Include'
        values: [
          'ServerBusyError'
          'ClientThrottlingError'
          'ClientAccountRequestThrottlingError'
          'ClientAccountBandwidthThrottlingError'
        ]
      }
    ]
  }
  {
    name: 'storage-availability'
    applies: true
    description: 'Storage answered less than 99.9 % of its requests.'
    severity: 1
    scope: storageId
    space: storageSpace
    metric: 'Availability'
    aggregation: 'Average'
    operator: 'LessThan'
    threshold: json('99.9')
    window: 'PT15M'
    frequency: 'PT5M'
    dimensions: []
  }
  {
    name: 'storage-denied'
    applies: true
    description: 'Storage refuses requests with 403: a role, the network rules, or a stranger.'
    severity: 2
    scope: storageId
    space: storageSpace
    metric: 'Transactions'
    aggregation: 'Total'
    operator: 'GreaterThan'
    threshold: 5
    window: 'PT5M'
    frequency: 'PT1M'
    dimensions: [
      {
        name: 'ResponseType'
        operator: 'Include'
        values: [
          'AuthorizationError'
          'AuthenticationError'
        ]
      }
    ]
  }
  {
    name: 'storage-capacity'
    applies: true
    description: 'The storage account holds more data than planned.'
    severity: 3
    scope: storageId
    space: storageSpace
    metric: 'UsedCapacity'
    aggregation: 'Average'
    operator: 'GreaterThan'
    threshold: thresholds.storageGb * gigabyte
    window: 'P1D'
    frequency: 'PT1H'
    dimensions: []
  }
  {
    name: 'tables-latency'
    applies: true
    description: 'Table Storage itself takes long, network apart.'
    severity: 3
    scope: tablesId
    space: tableSpace
    metric: 'SuccessServerLatency'
    aggregation: 'Average'
    operator: 'GreaterThan'
    threshold: thresholds.tableLatencyMs
    window: 'PT15M'
    frequency: 'PT5M'
    dimensions: []
  }
  {
    name: 'blobs-latency'
    applies: true
    description: 'Blob Storage itself takes long, network apart.'
    severity: 3
    scope: blobsId
    space: blobSpace
    metric: 'SuccessServerLatency'
    aggregation: 'Average'
    operator: 'GreaterThan'
    threshold: thresholds.blobLatencyMs
    window: 'PT15M'
    frequency: 'PT5M'
    dimensions: []
  }
  {
    name: 'vault-availability'
    applies: true
    description: 'Key Vault answered less than 99.9 % of its requests.'
    severity: 2
    scope: vaultId
    space: vaultSpace
    metric: 'Availability'
    aggregation: 'Average'
    operator: 'LessThan'
    threshold: json('99.9')
    window: 'PT15M'
    frequency: 'PT5M'
    dimensions: []
  }
  {
    name: 'vault-denied'
    applies: true
    description: 'Key Vault refuses requests with 403: a role, the network rules, or a stranger.'
    severity: 2
    scope: vaultId
    space: vaultSpace
    metric: 'ServiceApiResult'
    aggregation: 'Count'
    operator: 'GreaterThan'
    threshold: 5
    window: 'PT5M'
    frequency: 'PT1M'
    dimensions: [
      {
        name: 'StatusCode'
        operator: 'Include'
        values: [
          '403'
        ]
      }
    ]
  }
]
var rulesInForce = filter(metricRules, rule => (rule.applies))

// Limits of a logical partition, which no metric shows: 20 GB, alerted at 80 %, and 10,000 RU/s, of which it has the less the more the
// others ask of its physical partition: alerted at half (docs/capacity.md). Both are blind when the workspace takes no more.
var queryRules = [
  {
    name: 'cosmos-partition-size'
    description: 'A logical partition of Cosmos DB holds more than 16 of the 20 GB it may.'
    severity: 2
    query: 'CDBPartitionKeyStatistics | summarize Gigabytes = max(SizeKb) / 1048576.0 by PartitionKey'
    column: 'Gigabytes'
    threshold: 16
    window: 'PT6H'
    frequency: 'PT1H'
  }
  {
    name: 'cosmos-partition-heat'
    description: 'A logical partition of Cosmos DB used more than 5,000 of the 10,000 RU/s it may, over a minute.'
    severity: 2
    query: 'CDBPartitionKeyRUConsumption | summarize Units = sum(RequestCharge) / 60 by PartitionKey, bin(TimeGenerated, 1m)'
    column: 'Units'
    threshold: 5000
    window: 'PT15M'
    frequency: 'PT5M'
  }
  {
    name: 'logs-full'
    description: 'The workspace takes no more logs until its next day: the daily cap is reached.'
    severity: 3
    query: '_LogOperation | where Category =~ "Ingestion" and Detail contains "OverQuota" | summarize Times = count() by bin(TimeGenerated, 1h)'
    column: 'Times'
    threshold: 0
    window: 'PT1H'
    frequency: 'PT15M'
  }
]

resource onCall 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-${nameSuffix}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'openjibo'
    enabled: true
    emailReceivers: [for (email, i) in emails: {
      name: 'on-call-${i}'
      emailAddress: email
      useCommonAlertSchema: true
    }]
  }
}

resource metricAlerts 'Microsoft.Insights/metricAlerts@2018-03-01' = [for rule in rulesInForce: {
  name: '${rule.name}-${nameSuffix}'
  location: 'global'
  tags: tags
  properties: {
    description: rule.description
    severity: rule.severity
    enabled: true
    autoMitigate: true
    scopes: [
      rule.scope
    ]
    windowSize: rule.window
    evaluationFrequency: rule.frequency
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: rule.name
          metricNamespace: rule.space
          metricName: rule.metric
          timeAggregation: rule.aggregation
          operator: rule.operator
          threshold: rule.threshold
          dimensions: rule.dimensions
        }
      ]
    }
    actions: [
      {
        actionGroupId: onCall.id
      }
    ]
  }
}]

// What Azure itself says of a resource here. Hourly metrics say it later.
resource healthAlert 'Microsoft.Insights/activityLogAlerts@2020-10-01' = {
  name: 'resource-health-${nameSuffix}'
  location: 'global'
  tags: tags
  properties: {
    description: 'Azure calls a resource of this resource group unavailable or degraded.'
    enabled: true
    scopes: [
      resourceGroup().id
    ]
    condition: {
      allOf: [
        {
          field: 'category'
          equals: 'ResourceHealth'
        }
        {
          anyOf: [
            {
              field: 'properties.currentHealthStatus'
              equals: 'Unavailable'
            }
            {
              field: 'properties.currentHealthStatus'
              equals: 'Degraded'
            }
          ]
        }
      ]
    }
    actions: {
      actionGroups: [
        {
          actionGroupId: onCall.id
        }
      ]
    }
  }
}

// The tables come into being with the first entry, so the queries can not be validated before.
resource queryAlerts 'Microsoft.Insights/scheduledQueryRules@2022-06-15' = [for rule in queryRules: {
  name: '${rule.name}-${nameSuffix}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: rule.name
    description: rule.description
    severity: rule.severity
    enabled: true
    autoMitigate: true
    skipQueryValidation: true
    scopes: [
      workspaceId
    ]
    windowSize: rule.window
    evaluationFrequency: rule.frequency
    criteria: {
      allOf: [
        {
          query: rule.query
          metricMeasureColumn: rule.column
          timeAggregation: 'Maximum'
          operator: 'GreaterThan'
          threshold: rule.threshold
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: [
        onCall.id
      ]
    }
  }
}]

output actionGroupId string = onCall.id
