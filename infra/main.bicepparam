using 'main.bicep'

// What `make deploy` deploys. Each parameter is explained in main.bicep; those
// that aren't here have a default.

param prefix = 'tollgate'

// Callers go on asking for DeepSeek-R1. Foundry retires that model (its notice
// names 2026-08-13), so the deployment of that name is of the DeepSeek model
// that it serves today: DeepSeek-V3.2 answers.
param model = {
  deployment: 'DeepSeek-R1'
  name: 'DeepSeek-V3.2'
  version: '1'
  format: 'DeepSeek'
  sku: 'GlobalStandard'
  capacity: 100
}

// DeepSeek-R1 itself, where Foundry still has it:
// param model = {
//   deployment: 'DeepSeek-R1'
//   name: 'DeepSeek-R1'
//   version: '1'
//   format: 'DeepSeek'
//   sku: 'GlobalStandard'
//   capacity: 1
// }

param scale = {
  instanceMemoryMB: 2048
  perInstanceConcurrency: 200
  alwaysReady: 0
  maximumInstances: 40
}

param alertEmails = []
param corsOrigins = []

// `make deploy` sets these: whoever is logged in, and a key that nobody writes down.
param operatorIds = filter(split(readEnvironmentVariable('OPERATOR_IDS', ''), ','), id => !empty(id))
param upstreamApiKey = readEnvironmentVariable('UPSTREAM_API_KEY', '')
