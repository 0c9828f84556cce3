// One page to look at first: requests, refusals, time, request units, data, and the largest and busiest partitions.

param displayName string
param location string
param tags object
param cosmosId string
param storageId string
param vaultId string
param workspaceId string

var template = loadTextContent('workbook.json')
var withCosmos = replace(template, '__COSMOS_ID__', cosmosId)
var withStorage = replace(withCosmos, '__STORAGE_ID__', storageId)
var withVault = replace(withStorage, '__VAULT_ID__', vaultId)
var content = replace(withVault, '__WORKSPACE_ID__', workspaceId)

resource workbook 'Microsoft.Insights/workbooks@2022-04-01' = {
  name: guid(resourceGroup().id, 'openjibo-store')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: displayName
    category: 'workbook'
    version: '1.0'
    sourceId: workspaceId
    serializedData: content
  }
}
