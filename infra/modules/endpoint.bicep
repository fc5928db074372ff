metadata description = 'A private endpoint, and its name in the network.'

@description('The endpoint\'s name.')
param name string
param location string
param tags { *: string }
@description('The subnet that the endpoint takes an address of.')
param subnetId string
@description('The resource that is reached.')
param targetId string
@description('Which of the resource\'s services is reached.')
param group string
@description('The private DNS zones, in this resource group, that get the endpoint\'s names.')
param zones string[]

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    subnet: { id: subnetId }
    privateLinkServiceConnections: [
      { name: group, properties: { privateLinkServiceId: targetId, groupIds: [group] } }
    ]
  }
}

resource zoneGroup 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      for zone in zones: {
        name: replace(zone, '.', '-')
        properties: { privateDnsZoneId: resourceId('Microsoft.Network/privateDnsZones', zone) }
      }
    ]
  }
}
