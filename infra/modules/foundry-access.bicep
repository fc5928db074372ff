metadata description = 'A Foundry resource that is there already: the app\'s identity may call it.'

import { roles } from 'roles.bicep'

@description('The resource\'s name, in the resource group that this module is deployed to.')
param name string
@description('The resource id of the app\'s identity.')
param appIdentityId string
@description('The object id of the app\'s identity.')
param appPrincipalId string

resource account 'Microsoft.CognitiveServices/accounts@2025-06-01' existing = {
  name: name
}

resource caller 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, appIdentityId, roles.cognitiveServicesUser)
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.cognitiveServicesUser)
  }
}

output url string = 'https://${account.properties.customSubDomainName}.services.ai.azure.com'
