// One household or ten: as cheap as it gets, reachable from the developers' addresses.
using './main.bicep'

param environmentName = 'dev'
param capacity = {
  mode: 'serverless'
}
param cosmosBackup = 'Continuous7Days'
param storageSku = 'Standard_LRS'
param blobRecoveryDays = 6
param network = {
  mode: 'addresses'
  ipRanges: [
    readEnvironmentVariable('OPENJIBO_DEV_ADDRESS')
  ]
}
param appPrincipalIds = [
  readEnvironmentVariable('OPENJIBO_DEVELOPER_ID')
]
param logs = {
  retentionDays: 30
  dailyCapGb: 1
  requestLogs: true
}
param alertEmails = [
  readEnvironmentVariable('OPENJIBO_ALERT_EMAIL')
]
param thresholds = {
  cosmosThrottled: 100
  cosmosDataGb: 5
  cosmosLatencyMs: 100
  storageThrottled: 100
  storageGb: 50
  tableLatencyMs: 500
  blobLatencyMs: 2000
}
param budget = {
  amount: 50
  startDate: readEnvironmentVariable('OPENJIBO_BUDGET_START')
}
