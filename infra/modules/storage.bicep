metadata description = 'The storage account: the app\'s package and locks as blobs, keys and counters as tables. Nobody has a key to it; the app\'s identity may do what each table needs.'

import { roles } from 'roles.bicep'

@description('The account\'s name.')
param name string
param location string
param tags { *: string }
@description('How the account is replicated.')
param skuName string
@description('The resource id of the app\'s identity.')
param appIdentityId string
@description('The object id of the app\'s identity.')
param appPrincipalId string
@description('The app manages subscriptions, keys and prices (/manage), so it may write them.')
param appManages bool
@description('Object ids of those who run the tollgate command line.')
param operatorIds string[]
@description('Only private endpoints reach the account.')
param private bool
@description('Where the account\'s metrics and deletions are logged.')
param workspaceId string

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: skuName }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    supportsHttpsTrafficOnly: true
    networkAcls: {
      bypass: 'AzureServices' // deployments and diagnostics
      defaultAction: private ? 'Deny' : 'Allow'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' = {
  parent: account
  name: 'default'
}

resource packages 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = {
  parent: blobs
  name: 'packages'
  properties: { publicAccess: 'None' }
}

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2024-01-01' = {
  parent: account
  name: 'default'
}

// The handler's tables. It makes none itself here: nobody may, but a deployment.
var directory = ['tiers', 'groups', 'subscriptions', 'apikeys', 'prices']
var ledgers = ['counters', 'usage', 'responses', 'housekeeping']
var tableNames = concat(directory, ledgers, ['audit'])

resource tables 'Microsoft.Storage/storageAccounts/tableServices/tables@2024-01-01' = [
  for table in tableNames: {
    parent: tableService
    name: table
  }
]

// The Functions host keeps its locks and the package in blobs, and makes its own
// containers for them.
// Source: https://learn.microsoft.com/azure/azure-functions/functions-reference#connecting-to-host-storage-with-an-identity
resource hostBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, appIdentityId, roles.blobDataOwner)
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobDataOwner)
  }
}

// The audit is written where keys are: by operators, and by the app if it manages.
var appTableNames = appManages ? tableNames : concat(directory, ledgers)

var appRoles = [
  for table in appTableNames: appManages || contains(ledgers, table)
    ? roles.tableDataContributor
    : roles.tableDataReader
]

resource appTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (role, i) in appRoles: {
    scope: tables[i]
    name: guid(tables[i].id, appIdentityId, role)
    properties: {
      principalId: appPrincipalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    }
  }
]

resource operatorTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for i in range(0, length(operatorIds) * length(tableNames)): {
    scope: tables[i % length(tableNames)]
    name: guid(tables[i % length(tableNames)].id, operatorIds[i / length(tableNames)], 'operator')
    properties: {
      principalId: operatorIds[i / length(tableNames)]
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.tableDataContributor)
    }
  }
]

// Every call writes a counter, so writes are counted and not logged one by one.
resource tableLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: tableService
  name: 'tollgate'
  properties: {
    workspaceId: workspaceId
    logs: [{ category: 'StorageDelete', enabled: true }]
    metrics: [{ category: 'Transaction', enabled: true }]
  }
}

output id string = account.id
output blobUri string = account.properties.primaryEndpoints.blob
output tableUri string = account.properties.primaryEndpoints.table
output packagesUri string = '${account.properties.primaryEndpoints.blob}${packages.name}'
