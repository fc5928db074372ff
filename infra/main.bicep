metadata description = 'Tollgate in a resource group of its own: the gateway, its tables, its telemetry, and a model to stand in front of.'

targetScope = 'resourceGroup'

import { compact, dashed } from 'modules/names.bicep'
import { faultsOf, hoursBetween } from 'modules/faults.bicep'
import { modelDeployment, scaling } from 'modules/types.bicep'

@description('What names begin with. Anything but letters and digits is left out of them.')
@minLength(1)
@maxLength(20)
param prefix string = 'tollgate'

@description('Where everything is made.')
param location string = resourceGroup().location

@description('Tags on everything that is made.')
param tags { *: string } = {}

// The model

@description('The model that is deployed, and under which name. Where foundryAccountId or upstreamUrl names what is there already, only its deployment and its format count.')
param model modelDeployment

@description('The resource id of a Foundry or Azure OpenAI resource (kind AIServices or OpenAI) that is there already, in any resource group: then none is made. It must hold a deployment named model.deployment.')
param foundryAccountId string = ''

@description('The address of an endpoint that takes no identity of Azure: then no Foundry resource is made, and upstreamByKey holds.')
param upstreamUrl string = ''

@description('Call the endpoint with the vault\'s upstream-api-key rather than the app\'s identity.')
param upstreamByKey bool = !empty(upstreamUrl)

@description('That key, kept in the vault. Empty: the vault has it already.')
@secure()
param upstreamApiKey string = ''

@description('The API that the endpoint is called by.')
param upstreamShape 'models' | 'openai' | 'deployments' | 'anthropic' = 'openai'

// The gateway

@description('How instances are made and how many there may be.')
param scale scaling = {
  instanceMemoryMB: 2048
  perInstanceConcurrency: 200
  alwaysReady: 0
  maximumInstances: 40
}

@description('Upgrade without cutting calls: Azure then replaces instances in batches, each when its calls have ended (a preview). Takes effect with the upgrade after the one that sets it.')
param rollingUpdates bool = false

@description('The pepper under which keys are stored. Only a first deployment writes it; later ones leave the vault\'s alone.')
@secure()
param keyPepper string = '${newGuid()}-${newGuid()}'

@description('Object ids of the people or groups that run the tollgate command line: they may write the tables and read the pepper.')
param operatorIds string[] = []

@description('The application in Microsoft Entra ID whose tokens with the role Tollgate.Admin may manage subscriptions at /manage: its client id. Empty: /manage is off.')
param manageAudience string = ''

@description('Serve the console at /console: a page on which callers see their usage, and operators everybody\'s.')
param console bool = false

@description('Web pages that may call the gateway from a browser, such as https://chat.example.com.')
param corsOrigins string[] = []

@description('The header that names the caller\'s address, where the team\'s own Front Door stands in front: X-Azure-ClientIP. Needs frontDoorId: without it anybody can write the header.')
param clientIpHeader string = ''

@description('The id that the team\'s own Front Door sends in X-Azure-FDID: then nobody else can call the gateway.')
param frontDoorId string = ''

@description('The addresses, as CIDR blocks, that packages are deployed from. Then nobody can reach the deployment site from elsewhere. Empty: anybody with a login can.')
param deployFrom string[] = []

@description('When housekeeping runs, as the Functions host reads it: second, minute, hour, day, month, weekday. At least once a day; an alert fires when no run succeeded for three of its periods, or two days if that is less.')
param housekeepingSchedule string = '0 0 * * * *'

@description('Further settings of the handler, as docs/settings.md lists them. They win over those made here, and must not be secrets: the deployment\'s history keeps them readable. UPSTREAMS takes the place of all UPSTREAM_… settings, and callers may ask for what its endpoints list; where one lists none, set MODELS beside it, if that is more or other than model.deployment.')
param settings { *: string } = {}

@description('Settings that are secrets, such as an UPSTREAMS that holds an apiKey. They win over settings, and no history keeps them.')
@secure()
param secretSettings { *: string }?

// Storage, telemetry, network

@description('How the storage account is replicated.')
param storageSku 'Standard_LRS' | 'Standard_ZRS' | 'Standard_GRS' | 'Standard_GZRS' = 'Standard_LRS'

@description('For how many days logs and metrics are kept.')
@minValue(30)
@maxValue(730)
param retentionDays int = 30

@description('Who is told when an alert fires.')
param alertEmails string[] = []

@description('Post the alerts of limits (alertAt) to the vault\'s alert-webhook-url, signed with its alert-webhook-secret.')
param alertWebhook bool = false

@description('That address, kept in the vault because it may hold a secret. Empty: the vault has it already.')
@secure()
param alertWebhookUrl string = ''

@description('That secret, at least 32 bytes. Only the first deployment with alertWebhook writes it; later ones leave the vault\'s alone.')
@secure()
param alertWebhookSecret string = '${newGuid()}-${newGuid()}'

@description('Reach storage, vault and model through private endpoints in a virtual network only. Callers still reach the gateway from outside.')
param privateNetwork bool = false

@description('The virtual network\'s addresses, a /25 or larger.')
param networkAddressPrefix string = '10.70.0.0/24'

var schedule = settings.?HOUSEKEEPING_SCHEDULE ?? housekeepingSchedule

// Every name holds the suffix, and the suffix fails where the parameters don't go
// together: so nothing is made then.
var faults = faultsOf({
  model: model
  scale: scale
  foundryAccountId: foundryAccountId
  upstreamUrl: upstreamUrl
  clientIpHeader: clientIpHeader
  frontDoorId: frontDoorId
  housekeepingSchedule: schedule
  settings: settings
})
var suffix = empty(faults) ? uniqueString(resourceGroup().id) : fail(join(faults, ' '))
var makesFoundry = empty(foundryAccountId) && empty(upstreamUrl)
var usesFoundryAccount = !empty(foundryAccountId)

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: dashed('id', prefix, suffix)
  location: location
  tags: tags
}

module monitoring 'modules/monitoring.bicep' = {
  params: {
    workspaceName: dashed('log', prefix, suffix)
    insightsName: dashed('appi', prefix, suffix)
    location: location
    tags: tags
    retentionDays: retentionDays
    appIdentityId: identity.id
    appPrincipalId: identity.properties.principalId
    alertEmails: alertEmails
  }
}

var insightsId = resourceId('Microsoft.Insights/components', dashed('appi', prefix, suffix))

module workbook 'modules/workbook.bicep' = {
  params: {
    applicationInsightsId: insightsId
    location: location
    tags: tags
  }
  dependsOn: [monitoring]
}

module alerts 'modules/alerts.bicep' = {
  params: {
    applicationInsightsId: insightsId
    actionGroupId: monitoring.outputs.actionGroupId
    housekeepingHours: hoursBetween(schedule)
    location: location
    tags: tags
  }
}

module storage 'modules/storage.bicep' = {
  params: {
    name: compact('st', prefix, suffix)
    location: location
    tags: tags
    skuName: storageSku
    appIdentityId: identity.id
    appPrincipalId: identity.properties.principalId
    appManages: !empty(manageAudience)
    operatorIds: operatorIds
    private: privateNetwork
    workspaceId: monitoring.outputs.workspaceId
  }
}

module vault 'modules/vault.bicep' = {
  params: {
    name: compact('kv', prefix, suffix)
    location: location
    tags: tags
    keyPepper: keyPepper
    upstreamApiKey: upstreamApiKey
    alertWebhook: alertWebhook
    alertWebhookUrl: alertWebhookUrl
    alertWebhookSecret: alertWebhookSecret
    appIdentityId: identity.id
    appPrincipalId: identity.properties.principalId
    operatorIds: operatorIds
    private: privateNetwork
    workspaceId: monitoring.outputs.workspaceId
  }
}

module foundry 'modules/foundry.bicep' = if (makesFoundry) {
  params: {
    name: dashed('ai', prefix, suffix)
    location: location
    tags: tags
    model: model
    shape: upstreamShape
    appIdentityId: identity.id
    appPrincipalId: identity.properties.principalId
    private: privateNetwork
    workspaceId: monitoring.outputs.workspaceId
  }
}

var foundryId = split(foundryAccountId, '/')

module foundryAccess 'modules/foundry-access.bicep' = if (usesFoundryAccount) {
  scope: resourceGroup(
    usesFoundryAccount ? foundryId[2] : subscription().subscriptionId,
    usesFoundryAccount ? foundryId[4] : resourceGroup().name
  )
  params: {
    name: last(foundryId)
    format: model.format
    shape: upstreamShape
    appIdentityId: identity.id
    appPrincipalId: identity.properties.principalId
  }
}

var storageZone = environment().suffixes.storage
var zones = {
  blob: ['privatelink.blob.${storageZone}']
  table: ['privatelink.table.${storageZone}']
  vault: ['privatelink${replace(environment().suffixes.keyvaultDns, '.vault.', '.vaultcore.')}']
  account: [
    'privatelink.cognitiveservices.azure.com'
    'privatelink.openai.azure.com'
    'privatelink.services.ai.azure.com'
  ]
}

module network 'modules/network.bicep' = if (privateNetwork) {
  params: {
    name: dashed('vnet', prefix, suffix)
    location: location
    tags: tags
    addressPrefix: networkAddressPrefix
    zones: flatten([zones.blob, zones.table, zones.vault, zones.account])
  }
}

var services = concat(['blob', 'table', 'vault'], empty(upstreamUrl) ? ['account'] : [])

module endpoints 'modules/endpoint.bicep' = [
  for service in privateNetwork ? services : []: {
    params: {
      name: dashed('pe-${service}', prefix, suffix)
      location: location
      tags: tags
      subnetId: network!.outputs.endpointSubnetId
      group: service
      targetId: service == 'vault'
        ? vault.outputs.id
        : service != 'account' ? storage.outputs.id : makesFoundry ? foundry!.outputs.id : foundryAccountId
      zones: zones[service]
    }
  }
]

var modelUrl = makesFoundry ? foundry!.outputs.url : usesFoundryAccount ? foundryAccess!.outputs.url : upstreamUrl

// The account's name is there beside its addresses because instances fail now and
// then with the addresses alone.
// Source: https://github.com/Azure/azure-functions-host/issues/11787
var storageSettings = {
  AzureWebJobsStorage__accountName: compact('st', prefix, suffix)
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identity.properties.clientId
  AzureWebJobsStorage__blobServiceUri: storage.outputs.blobUri
  AzureWebJobsStorage__tableServiceUri: storage.outputs.tableUri
}

// A deployment's name need not be its model's: callers go on asking for DeepSeek-R1.
// Only of a model that is deployed here is it known which one answers.
var upstreamSettings = union(
  {
    UPSTREAM_URL: modelUrl
    UPSTREAM_SHAPE: upstreamShape
    UPSTREAM_DEPLOYMENT: model.deployment
  },
  makesFoundry ? { UPSTREAM_FAMILY: model.name } : {}
)

// Where all endpoints list models, these are what callers may ask for, which the
// gateway sees by itself; a model beside them would keep it from starting.
var severalUpstreams = secretSettings.?UPSTREAMS ?? settings.?UPSTREAMS ?? ''
var upstreamsListModels = startsWith(severalUpstreams, '[')
  ? empty(filter(json(severalUpstreams), endpoint => empty(endpoint.?models ?? {})))
  : false

var manageSettings = {
  MANAGE_AUDIENCE: manageAudience
  MANAGE_ISSUER: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
}

var webhookSettings = {
  ALERT_WEBHOOK_URL: '@Microsoft.KeyVault(SecretUri=${vault.outputs.alertWebhookUrlUri})'
  ALERT_WEBHOOK_SECRET: '@Microsoft.KeyVault(SecretUri=${vault.outputs.alertWebhookSecretUri})'
}

var gatewaySettings = union(
  storageSettings,
  {
    APPLICATIONINSIGHTS_CONNECTION_STRING: monitoring.outputs.connectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
    AZURE_CLIENT_ID: identity.properties.clientId
    KEY_PEPPER: '@Microsoft.KeyVault(SecretUri=${vault.outputs.pepperUri})'
    HOUSEKEEPING_SCHEDULE: schedule
  },
  upstreamsListModels ? {} : { MODELS: model.deployment },
  empty(severalUpstreams) ? upstreamSettings : {},
  upstreamByKey ? { UPSTREAM_API_KEY: '@Microsoft.KeyVault(SecretUri=${vault.outputs.upstreamKeyUri})' } : {},
  empty(manageAudience) ? {} : manageSettings,
  console ? { CONSOLE: 'on' } : {},
  alertWebhook ? webhookSettings : {},
  empty(clientIpHeader) ? {} : { CLIENT_IP_HEADER: clientIpHeader },
  settings
)

module app 'modules/app.bicep' = {
  params: {
    planName: dashed('plan', prefix, suffix)
    name: dashed('func', prefix, suffix)
    location: location
    tags: tags
    identityId: identity.id
    scale: scale
    packagesUri: storage.outputs.packagesUri
    settings: gatewaySettings
    secretSettings: secretSettings
    corsOrigins: corsOrigins
    frontDoorId: frontDoorId
    deployFrom: deployFrom
    rollingUpdates: rollingUpdates
    subnetId: privateNetwork ? network!.outputs.appSubnetId : ''
    workspaceId: monitoring.outputs.workspaceId
  }
  dependsOn: [endpoints]
}

@description('Where the gateway answers.')
output url string = app.outputs.url

@description('Which model really answers, whatever its deployment is called.')
output answeredBy string = makesFoundry
  ? '${model.deployment} is answered by ${model.format} ${model.name}, version ${model.version}'
  : '${model.deployment} is answered by whatever ${usesFoundryAccount ? last(foundryId) : upstreamUrl} has deployed under that name'

@description('The app, to deploy a package to.')
output appName string = app.outputs.name

@description('The storage account, whose tables hold keys and counters.')
output storageAccountName string = compact('st', prefix, suffix)

@description('The Key Vault, which holds the pepper.')
output vaultName string = vault.outputs.name

@description('What azd keeps in its environment: the group, the app and its address.')
output AZURE_RESOURCE_GROUP string = resourceGroup().name
output SERVICE_GATEWAY_NAME string = app.outputs.name
output SERVICE_GATEWAY_URI string = app.outputs.url

var firstCall = 'curl ${app.outputs.url}/openai/v1/chat/completions -H "api-key: $KEY" -H "Content-Type: application/json" -d \'{"model":"${model.deployment}","messages":[{"role":"user","content":"Hello"}]}\''

var fromHere = [
  'make publish APP=${app.outputs.name}   # or make deploy, which has published already'
  'export AzureWebJobsStorage__accountName=${compact('st', prefix, suffix)}'
  'export KEY_PEPPER=$(az keyvault secret show --vault-name ${vault.outputs.name} --name key-pepper --query value --output tsv)'
  'go build -o tollgate ./handler/cmd/tollgate'
  './tollgate tier set standard --create --tokens-per-minute 1000 && ./tollgate subscription create team-a --tier standard && KEY=$(./tollgate key create team-a)'
  firstCall
]

// Tables and vault answer inside the network alone.
var fromInside = concat(
  [
    '# The following must run inside the virtual network; from outside use ./tollgate --server ${app.outputs.url}, with manageAudience set.'
  ],
  fromHere
)

@description('What to do next.')
output next string[] = privateNetwork ? fromInside : fromHere
