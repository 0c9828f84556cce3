// Private endpoints and the private DNS zones that make the services' public names lead to them.

param nameSuffix string
param location string
param tags object

@description('`privateNetworkType` of main.bicep: `subnetId`, and `dnsResourceGroupId` where the zones are there already.')
param network object

param cosmosId string
param storageId string
param vaultId string

var storageSuffix = environment().suffixes.storage
var services = [
  {
    name: 'cosmos'
    group: 'Sql'
    target: cosmosId
    zone: 'privatelink.documents.azure.com'
  }
  {
    name: 'table'
    group: 'table'
    target: storageId
    zone: 'privatelink.table.${storageSuffix}'
  }
  {
    name: 'blob'
    group: 'blob'
    target: storageId
    zone: 'privatelink.blob.${storageSuffix}'
  }
  {
    name: 'vault'
    group: 'vault'
    target: vaultId
    zone: 'privatelink.vaultcore.azure.net'
  }
]
var dnsResourceGroupId = network.?dnsResourceGroupId ?? ''
var makesZones = empty(dnsResourceGroupId)
var virtualNetworkId = split(network.subnetId, '/subnets/')[0]

resource zones 'Microsoft.Network/privateDnsZones@2020-06-01' = [for service in services: if (makesZones) {
  name: service.zone
  location: 'global'
  tags: tags
}]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01' = [for (service, i) in services: if (makesZones) {
  parent: zones[i]
  name: 'link-${service.name}-${nameSuffix}'
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: virtualNetworkId
    }
  }
}]

// One after the other: an account takes one change of its connections at a time.
@batchSize(1)
resource endpoints 'Microsoft.Network/privateEndpoints@2024-05-01' = [for service in services: {
  name: 'pe-${service.name}-${nameSuffix}'
  location: location
  tags: tags
  properties: {
    subnet: {
      id: network.subnetId
    }
    privateLinkServiceConnections: [
      {
        name: service.name
        properties: {
          privateLinkServiceId: service.target
          groupIds: [
            service.group
          ]
        }
      }
    ]
  }
}]

resource zoneGroups 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = [for (service, i) in services: {
  parent: endpoints[i]
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: service.name
        properties: {
          privateDnsZoneId: makesZones ? zones[i].id : '${dnsResourceGroupId}/providers/Microsoft.Network/privateDnsZones/${service.zone}'
        }
      }
    ]
  }
}]
