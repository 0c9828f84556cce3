// Production in small: the same network, the same rules, without zones and a second region.
using './main.bicep'

param environmentName = 'staging'
param capacity = {
  mode: 'autoscale'
  maxRequestUnits: 1000
  zoneRedundant: false
}
param cosmosBackup = 'Continuous7Days'
param storageSku = 'Standard_ZRS'
param blobRecoveryDays = 6
param network = {
  mode: 'private'
  subnetId: readEnvironmentVariable('OPENJIBO_SUBNET_ID')
}
param operatorPrincipalIds = [
  readEnvironmentVariable('OPENJIBO_OPERATORS_ID')
]
param logs = {
  retentionDays: 30
  dailyCapGb: 5
  requestLogs: false
}
param alertEmails = [
  readEnvironmentVariable('OPENJIBO_ALERT_EMAIL')
]
param thresholds = {
  cosmosThrottled: 50
  cosmosDataGb: 20
  cosmosLatencyMs: 50
  storageThrottled: 50
  storageGb: 200
  tableLatencyMs: 200
  blobLatencyMs: 1000
}
param budget = {
  amount: 300
  startDate: readEnvironmentVariable('OPENJIBO_BUDGET_START')
}
