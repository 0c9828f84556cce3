// Production: zones, a second region that is read-only until a failover, 30 days back on every service that can, locks.
using './main.bicep'

param environmentName = 'prod'
param capacity = {
  mode: 'autoscale'
  maxRequestUnits: 10000
  zoneRedundant: true
  readRegion: {
    name: readEnvironmentVariable('OPENJIBO_READ_REGION')
    zoneRedundant: false
  }
}
param cosmosBackup = 'Continuous30Days'
param storageSku = 'Standard_GZRS'
param blobRecoveryDays = 30
param network = {
  mode: 'private'
  subnetId: readEnvironmentVariable('OPENJIBO_SUBNET_ID')
}
param operatorPrincipalIds = [
  readEnvironmentVariable('OPENJIBO_OPERATORS_ID')
]
param logs = {
  retentionDays: 90
  dailyCapGb: 20
  requestLogs: false
}
param alertEmails = [
  readEnvironmentVariable('OPENJIBO_ALERT_EMAIL')
]
param thresholds = {
  cosmosThrottled: 100
  cosmosDataGb: 500
  cosmosLatencyMs: 25
  storageThrottled: 100
  storageGb: 10000
  tableLatencyMs: 100
  blobLatencyMs: 500
}
param budget = {
  amount: 3000
  startDate: readEnvironmentVariable('OPENJIBO_BUDGET_START')
}
