metadata description = 'The Key Vault: the pepper under which keys are stored, the key of an upstream that takes no identity, and the webhook that alerts are posted to.'

import { roles } from 'roles.bicep'

@description('The vault\'s name.')
param name string
param location string
param tags { *: string }
@description('The pepper of a first deployment. A pepper that is there already stays.')
@secure()
param keyPepper string
@description('The key of an endpoint that takes no identity. Empty: none.')
@secure()
param upstreamApiKey string
@description('The app posts alerts of limits to a webhook.')
param alertWebhook bool
@description('The webhook\'s address. Empty: none, or the vault has it already.')
@secure()
param alertWebhookUrl string
@description('The secret that signs alerts, of the first deployment with a webhook. A secret that is there already stays.')
@secure()
param alertWebhookSecret string
@description('The resource id of the app\'s identity.')
param appIdentityId string
@description('The object id of the app\'s identity.')
param appPrincipalId string
@description('Object ids of those who run the tollgate command line.')
param operatorIds string[]
@description('Only private endpoints reach the vault.')
param private bool
@description('Where reads of secrets are logged.')
param workspaceId string

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    // Without the pepper no key that was ever given out works again.
    enableSoftDelete: true
    enablePurgeProtection: true
    softDeleteRetentionInDays: 90
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'AzureServices' // deployments and diagnostics
      defaultAction: private ? 'Deny' : 'Allow'
    }
  }
}

@onlyIfNotExists()
resource pepper 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = {
  parent: vault
  name: 'key-pepper'
  properties: {
    value: keyPepper
    contentType: 'The pepper under which Tollgate stores keys'
  }
}

resource upstreamKey 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = if (!empty(upstreamApiKey)) {
  parent: vault
  name: 'upstream-api-key'
  properties: {
    value: upstreamApiKey
    contentType: 'The api-key of Tollgate\'s upstream'
  }
}

resource webhookUrl 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = if (alertWebhook && !empty(alertWebhookUrl)) {
  parent: vault
  name: 'alert-webhook-url'
  properties: {
    value: alertWebhookUrl
    contentType: 'The address that Tollgate posts alerts to'
  }
}

@onlyIfNotExists()
resource webhookSecret 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = if (alertWebhook) {
  parent: vault
  name: 'alert-webhook-secret'
  properties: {
    value: alertWebhookSecret
    contentType: 'The secret that signs Tollgate\'s alerts'
  }
}

resource appSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, appIdentityId, roles.keyVaultSecretsUser)
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.keyVaultSecretsUser)
  }
}

resource operatorPepper 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for operator in operatorIds: {
    scope: pepper
    name: guid(pepper.id, operator, roles.keyVaultSecretsUser)
    properties: {
      principalId: operator
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.keyVaultSecretsUser)
    }
  }
]

resource vaultLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
  name: 'tollgate'
  properties: {
    workspaceId: workspaceId
    logs: [{ category: 'AuditEvent', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

output id string = vault.id
output name string = vault.name
output pepperUri string = '${vault.properties.vaultUri}secrets/${pepper.name}'
output upstreamKeyUri string = '${vault.properties.vaultUri}secrets/upstream-api-key'
output alertWebhookUrlUri string = '${vault.properties.vaultUri}secrets/alert-webhook-url'
output alertWebhookSecretUri string = '${vault.properties.vaultUri}secrets/alert-webhook-secret'
