// Production's second region.
using './second-region.bicep'

param environmentName = 'prod'
param subnetId = readEnvironmentVariable('OPENJIBO_SECOND_SUBNET_ID')
param cosmosId = readEnvironmentVariable('OPENJIBO_COSMOS_ID')
param storageId = readEnvironmentVariable('OPENJIBO_STORAGE_ID')
param vaultId = readEnvironmentVariable('OPENJIBO_VAULT_ID')
