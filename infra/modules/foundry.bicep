metadata description = 'A Foundry resource with one model deployed, which the app\'s identity may call. It has no api-keys.'

import { callerRole } from 'roles.bicep'
import { modelDeployment } from 'types.bicep'

@description('The resource\'s name, and the first part of its address.')
param name string
param location string
param tags { *: string }
@description('The model to deploy.')
param model modelDeployment
@description('The API that the model is called by.')
param shape string
@description('The resource id of the app\'s identity.')
param appIdentityId string
@description('The object id of the app\'s identity.')
param appPrincipalId string
@description('Only private endpoints reach the resource.')
param private bool
@description('Where metrics and changes are logged.')
param workspaceId string

resource account 'Microsoft.CognitiveServices/accounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'AIServices'
  sku: { name: 'S0' }
  identity: { type: 'SystemAssigned' }
  properties: {
    allowProjectManagement: true
    customSubDomainName: name
    disableLocalAuth: true
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    networkAcls: { defaultAction: private ? 'Deny' : 'Allow' }
  }
}

resource deployment 'Microsoft.CognitiveServices/accounts/deployments@2025-06-01' = {
  parent: account
  name: model.deployment
  sku: {
    name: model.sku
    capacity: model.capacity
  }
  properties: {
    model: {
      format: model.format
      name: model.name
      version: model.version
    }
    versionUpgradeOption: 'NoAutoUpgrade'
    raiPolicyName: 'Microsoft.DefaultV2'
  }
}

var role = callerRole(model.format, shape)

resource caller 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, appIdentityId, role)
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
  }
}

// RequestResponse, which logs every call, is left out: the app logs each once.
resource accountLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: account
  name: 'tollgate'
  properties: {
    workspaceId: workspaceId
    logs: [{ category: 'Audit', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

output id string = account.id
output url string = 'https://${account.properties.customSubDomainName}.services.ai.azure.com'
