// The way into production from the second region: private endpoints to the same accounts, and zones of their own, because a network has one
// zone of a name and a resource group too. Deployed into a resource group of its own, before it is needed. docs/runbooks/recover.md.

targetScope = 'resourceGroup'

@description('Which environment it belongs to: part of every name and tag.')
param environmentName 'staging' | 'prod'

@description('As in main.bicep.')
@minLength(2)
@maxLength(5)
param workload string = 'ojibo'

@description('The second region.')
param location string = resourceGroup().location

@description('Resource id of the subnet in the second region that takes the private endpoints.')
@minLength(1)
param subnetId string

@description('Resource id of the Cosmos DB account.')
@minLength(1)
param cosmosId string

@description('Resource id of the storage account.')
@minLength(1)
param storageId string

@description('Resource id of the key vault.')
@minLength(1)
param vaultId string

module endpoints 'modules/network.bicep' = {
  name: 'network'
  params: {
    nameSuffix: '${workload}-${environmentName}-2'
    location: location
    tags: {
      environment: environmentName
      workload: 'openjibo-store'
      managedBy: 'bicep'
    }
    network: {
      subnetId: subnetId
    }
    cosmosId: cosmosId
    storageId: storageId
    vaultId: vaultId
  }
}
