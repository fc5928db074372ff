using 'main.bicep'

// What `make deploy` deploys. Each parameter is explained in main.bicep; those
// that aren't here have a default.

param prefix = 'tollgate'

// Callers go on asking for DeepSeek-R1. Foundry retired that model on 2026-08-13, so
// the deployment of that name is of another: DeepSeek-V3.2 answers.
param model = {
  deployment: 'DeepSeek-R1'
  name: 'DeepSeek-V3.2'
  version: '1'
  format: 'DeepSeek'
  sku: 'GlobalStandard'
  capacity: 100
}

// Foundry's newer DeepSeek models, in place of the one above:
// param model = {
//   deployment: 'DeepSeek-V4-Flash' // or DeepSeek-V4-Pro, here and below
//   name: 'DeepSeek-V4-Flash'
//   version: '2026-04-23'
//   format: 'DeepSeek'
//   sku: 'GlobalStandard'
//   capacity: 100
// }

param scale = {
  instanceMemoryMB: 2048
  perInstanceConcurrency: 200
  alwaysReady: 0
  maximumInstances: 40
}

param alertEmails = filter(split(readEnvironmentVariable('ALERT_EMAILS', ''), ','), address => !empty(address))
param corsOrigins = []

// Whoever deploys: `make deploy` sets OPERATOR_IDS, azd AZURE_PRINCIPAL_ID.
var deployer = readEnvironmentVariable('AZURE_PRINCIPAL_ID', '')
param operatorIds = filter(split(readEnvironmentVariable('OPERATOR_IDS', deployer), ','), id => !empty(id))

// A key that nobody writes down.
param upstreamApiKey = readEnvironmentVariable('UPSTREAM_API_KEY', '')

// Where alerts of limits are posted: with param alertWebhook = true.
param alertWebhookUrl = readEnvironmentVariable('ALERT_WEBHOOK_URL', '')
