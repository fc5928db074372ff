metadata description = 'A Foundry or Azure OpenAI resource that is there already: where it answers, and the app\'s right to call it.'

import { callerRole } from 'roles.bicep'

@description('The resource\'s name, in the resource group that this module is deployed to.')
param name string
@description('Who publishes the model that is called: OpenAI, DeepSeek, …')
param format string
@description('The API that the resource is called by.')
param shape string
@description('The resource id of the app\'s identity.')
param appIdentityId string
@description('The object id of the app\'s identity.')
param appPrincipalId string

resource account 'Microsoft.CognitiveServices/accounts@2025-06-01' existing = {
  name: name
}

var role = callerRole(format, shape)

resource caller 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, appIdentityId, role)
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
  }
}

var subdomain = account.properties.?customSubDomainName ?? ''

output url string = empty(subdomain)
  ? fail('The resource ${name} has no custom subdomain, without which it takes no identity. Give it one: az cognitiveservices account update --custom-domain NAME')
  : account.kind == 'AIServices'
      ? 'https://${subdomain}.services.ai.azure.com'
      : account.kind != 'OpenAI'
          ? fail('The resource ${name} is of kind ${account.kind}, which answers no chat completions. Name one of kind AIServices or OpenAI.')
          : shape == 'models'
              ? fail('The resource ${name} is of kind OpenAI, which has no /models API. Set upstreamShape to openai or deployments.')
              : 'https://${subdomain}.openai.azure.com'
