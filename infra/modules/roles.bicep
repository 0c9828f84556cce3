// What principals may do with the data: nothing of the control plane, and no more than they need.

@allowed([
  'write'
  'read'
])
param access string

param principalIds array

@description('Empty: Azure looks it up. To be given for an identity made in the same deployment.')
param principalType string = ''

param cosmosAccountName string
param databaseName string
param storageAccountName string
param vaultName string
param keyName string

// Cosmos DB's own roles: Built-in Data Contributor and Built-in Data Reader.
var cosmosRoles = {
  write: '00000000-0000-0000-0000-000000000002'
  read: '00000000-0000-0000-0000-000000000001'
}
// Storage Table Data Contributor and Reader.
var tableRoles = {
  write: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
  read: '76199698-9eea-4c19-bc75-cec21354c6b6'
}
// Storage Blob Data Contributor and Reader.
var blobRoles = {
  write: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  read: '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
}
// Key Vault Crypto User. Readers get none: a key can't be read, only used.
var cryptoRole = '12338af0-0e69-4776-bea7-57ae8d297424'
var typeOrNull = empty(principalType) ? null : principalType
var keyUserIds = access == 'write' ? principalIds : []

resource cosmosAccount 'Microsoft.DocumentDB/databaseAccounts@2024-11-15' existing = {
  name: cosmosAccountName
}

resource storageAccount 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: storageAccountName
}

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: vaultName
}

resource wrappingKey 'Microsoft.KeyVault/vaults/keys@2023-07-01' existing = {
  parent: vault
  name: keyName
}

@batchSize(1)
resource cosmosAssignments 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2024-11-15' = [for principalId in principalIds: {
  parent: cosmosAccount
  name: guid(cosmosAccount.id, databaseName, principalId, cosmosRoles[access])
  properties: {
    principalId: principalId
    roleDefinitionId: '${cosmosAccount.id}/sqlRoleDefinitions/${cosmosRoles[access]}'
    scope: '${cosmosAccount.id}/dbs/${databaseName}'
  }
}]

resource tableAssignments 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for principalId in principalIds: {
  scope: storageAccount
  name: guid(storageAccount.id, principalId, tableRoles[access])
  properties: {
    principalId: principalId
    principalType: typeOrNull
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', tableRoles[access])
  }
}]

resource blobAssignments 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for principalId in principalIds: {
  scope: storageAccount
  name: guid(storageAccount.id, principalId, blobRoles[access])
  properties: {
    principalId: principalId
    principalType: typeOrNull
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobRoles[access])
  }
}]

resource keyAssignments 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for principalId in keyUserIds: {
  scope: wrappingKey
  name: guid(wrappingKey.id, principalId, cryptoRole)
  properties: {
    principalId: principalId
    principalType: typeOrNull
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', cryptoRole)
  }
}]
