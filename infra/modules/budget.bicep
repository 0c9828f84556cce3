// What a month of the resource group may cost. A budget tells; it stops nothing.

param name string
param amount int
param startDate string
param emails array
param actionGroupId string

resource budget 'Microsoft.Consumption/budgets@2023-11-01' = {
  name: name
  properties: {
    category: 'Cost'
    amount: amount
    timeGrain: 'Monthly'
    timePeriod: {
      startDate: startDate
    }
    notifications: {
      actual80: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        thresholdType: 'Actual'
        threshold: 80
        contactEmails: emails
        contactGroups: [
          actionGroupId
        ]
      }
      actual100: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        thresholdType: 'Actual'
        threshold: 100
        contactEmails: emails
        contactGroups: [
          actionGroupId
        ]
      }
      forecast100: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        thresholdType: 'Forecasted'
        threshold: 100
        contactEmails: emails
        contactGroups: [
          actionGroupId
        ]
      }
    }
  }
}
