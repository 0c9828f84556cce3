// Key Vault: the key that wraps the keys of stored secrets. Nothing reads a secret from it, and no secret is put into it here.

param name string
param keyName string

@description('False: the key is there and is not looked at.')
param createKey bool

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

// A new version each year; the old ones stay, for what they have wrapped. Deploying again makes no new version and changes nothing of a
// key that is there; so it carries no tags, which may change. Rotated versions expire, the first one never does.
resource wrappingKey 'Microsoft.KeyVault/vaults/keys@2023-07-01' = if (createKey) {
  // checkov:skip=CKV_AZURE_40:The rotation policy sets the expiry of rotated versions. A date here would be another one on each deployment
  parent: vault
  name: keyName
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
