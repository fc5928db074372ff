metadata description = 'The Functions app: Tollgate as a custom handler on Flex Consumption.'

import { scaling } from 'types.bicep'

@description('The plan\'s name.')
param planName string
@description('The app\'s name, and the first part of its address.')
param name string
param location string
param tags { *: string }
@description('The id of the app\'s identity.')
param identityId string
@description('How instances are made and how many there may be.')
param scale scaling
@description('The container that packages are deployed to.')
param packagesUri string
@description('The app\'s settings: the handler\'s, which docs/settings.md lists, and those of the Functions host.')
param settings { *: string }
@description('Settings that are secrets. They win over the others.')
@secure()
param secretSettings { *: string }?
@description('Web pages that may call the app from a browser. Preflights never reach the handler.')
param corsOrigins string[]
@description('The id of the only Front Door that may call the app. Empty: anybody may.')
param frontDoorId string
@description('The addresses, as CIDR blocks, that packages are deployed from. Empty: any, with a login.')
param deployFrom string[]
@description('Replace instances in batches, each when its calls have ended. Otherwise all at once, and calls under way are cut.')
param rollingUpdates bool
@description('The subnet that the app calls from. Empty: none.')
param subnetId string
@description('Where the app\'s metrics are kept.')
param workspaceId string

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: { reserved: true }
}

var frontDoorOnly = [
  {
    name: 'front-door'
    priority: 100
    action: 'Allow'
    tag: 'ServiceTag'
    ipAddress: 'AzureFrontDoor.Backend'
    headers: { 'x-azure-fdid': [frontDoorId] }
  }
]

var deployers = [
  for (block, i) in deployFrom: {
    name: 'deployer-${i + 1}'
    priority: 100 + i
    action: 'Allow'
    ipAddress: block
  }
]

resource app 'Microsoft.Web/sites@2024-11-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'gateway' }) // azure.yaml's service
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      runtime: {
        name: 'custom'
        version: '1.0'
      }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packagesUri
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      scaleAndConcurrency: {
        instanceMemoryMB: scale.instanceMemoryMB
        maximumInstanceCount: scale.maximumInstances
        alwaysReady: scale.alwaysReady == 0 ? [] : [{ name: 'http', instanceCount: scale.alwaysReady }]
        triggers: { http: { perInstanceConcurrency: scale.perInstanceConcurrency } }
      }
      // Not among the types yet.
      // Source: https://learn.microsoft.com/azure/azure-functions/flex-consumption-site-updates
      #disable-next-line BCP037
      siteUpdateStrategy: { type: rollingUpdates ? 'RollingUpdate' : 'Recreate' }
    }
    // Flex Consumption refuses most names here, such as ftpsState and linuxFxVersion.
    // Source: https://github.com/Azure/azure-cli/issues/31414
    siteConfig: {
      minTlsVersion: '1.2'
      http20Enabled: true
      cors: { allowedOrigins: corsOrigins }
      ipSecurityRestrictions: empty(frontDoorId) ? [] : frontDoorOnly
      ipSecurityRestrictionsDefaultAction: empty(frontDoorId) ? 'Allow' : 'Deny'
      scmIpSecurityRestrictions: deployers
      scmIpSecurityRestrictionsDefaultAction: empty(deployFrom) ? 'Allow' : 'Deny'
    }
  }

  // Packages are deployed with a login, never with a password of the app's own.
  resource ftpPassword 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
  }

  resource scmPassword 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }

  resource appSettings 'config' = {
    name: 'appsettings'
    properties: secretSettings == null ? settings : union(settings, secretSettings!)
  }
}

// The host sends its log to Application Insights; logged here too, it would be paid for twice.
resource appLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: app
  name: 'tollgate'
  properties: {
    workspaceId: workspaceId
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

output name string = app.name
output url string = 'https://${app.properties.defaultHostName}'
