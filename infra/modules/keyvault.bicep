// Key Vault: the key that wraps the keys of stored secrets. Nothing reads a secret from it, and no secret is put into it here.

param name string
param location string
param tags object

@description('`networkType` of main.bicep.')
param network object

param workspaceId string
param locked bool

var subnetIds = network.?subnetIds ?? []
var ipRanges = network.?ipRanges ?? []

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  // only dev: checkov:skip=CKV_AZURE_189:Development is reachable from the developers' addresses, and denies all others
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: subscription().tenantId
    sku: {
      family: 'A'
      name: 'premium'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    enablePurgeProtection: true
    enabledForDeployment: false
    enabledForDiskEncryption: false
    enabledForTemplateDeployment: false
    publicNetworkAccess: network.mode == 'private' ? 'disabled' : 'enabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: 'Deny'
      virtualNetworkRules: [for subnetId in subnetIds: {
        id: subnetId
      }]
      ipRules: [for ipRange in ipRanges: {
        value: ipRange
      }]
    }
  }
}

// A new version each year; the old ones stay, for what they have wrapped. Deploying again makes no new version.
resource wrappingKey 'Microsoft.KeyVault/vaults/keys@2023-07-01' = {
  // checkov:skip=CKV_AZURE_40:The rotation policy sets the expiry of every version. A date here would be another one on each deployment
  parent: vault
  name: 'openjibo-wrapping'
  tags: tags
  properties: {
    kty: 'RSA-HSM'
    keySize: 3072
    keyOps: [
      'wrapKey'
      'unwrapKey'
    ]
    attributes: {
      enabled: true
      exportable: false
    }
    rotationPolicy: {
      attributes: {
        expiryTime: 'P2Y'
      }
      lifetimeActions: [
        {
          action: {
            type: 'rotate'
          }
          trigger: {
            timeAfterCreate: 'P1Y'
          }
        }
        {
          action: {
            type: 'notify'
          }
          trigger: {
            timeBeforeExpiry: 'P30D'
          }
        }
      ]
    }
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
  name: 'to-logs'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'AuditEvent'
        enabled: true
      }
      {
        category: 'AzurePolicyEvaluationDetails'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

resource lock 'Microsoft.Authorization/locks@2020-05-01' = if (locked) {
  scope: vault
  name: 'keep'
  properties: {
    level: 'CanNotDelete'
    notes: 'Without the wrapping key, stored secrets can not be read.'
  }
}

output id string = vault.id
output name string = vault.name
output keyName string = wrappingKey.name
