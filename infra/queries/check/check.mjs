// Reads [{ "name": …, "text": … }] from stdin and writes what Kusto's own
// parser and analyser have to say against each query, given the tables of an
// Application Insights resource: [{ "name", "message", "at" }].
import fs from 'node:fs'
import vm from 'node:vm'

// The package is made for browsers: its scripts define globals.
const folder = new URL('node_modules/@kusto/language-service-next/', import.meta.url)
for (const file of ['bridge.min.js', 'Kusto.Language.Bridge.min.js']) {
  vm.runInThisContext(fs.readFileSync(new URL(file, folder), 'utf8'), { filename: file })
}
const { KustoCode, GlobalState, Symbols } = globalThis.Kusto.Language

// Columns that every table has.
// Source: https://learn.microsoft.com/azure/azure-monitor/reference/tables/custommetrics and its like
const common = 'timestamp:datetime, itemId:string, itemType:string, customDimensions:dynamic, operation_Name:string, ' +
  'operation_Id:string, operation_ParentId:string, operation_SyntheticSource:string, session_Id:string, user_Id:string, ' +
  'user_AuthenticatedId:string, user_AccountId:string, application_Version:string, client_Type:string, client_IP:string, ' +
  'client_City:string, client_StateOrProvince:string, client_CountryOrRegion:string, client_Browser:string, client_OS:string, ' +
  'client_Model:string, cloud_RoleName:string, cloud_RoleInstance:string, appId:string, appName:string, iKey:string, sdkVersion:string, _ResourceId:string'
const tables = {
  customMetrics: 'name:string, value:real, valueCount:int, valueSum:real, valueMin:real, valueMax:real, valueStdDev:real',
  traces: 'message:string, severityLevel:int, itemCount:int, customMeasurements:dynamic',
  customEvents: 'name:string, itemCount:int, customMeasurements:dynamic',
  requests: 'id:string, source:string, name:string, url:string, success:string, resultCode:string, duration:real, performanceBucket:string, itemCount:int, customMeasurements:dynamic',
  dependencies: 'id:string, target:string, type:string, name:string, data:string, success:string, resultCode:string, duration:real, performanceBucket:string, itemCount:int, customMeasurements:dynamic',
}

const symbols = Object.entries(tables).map(([name, columns]) => Symbols.TableSymbol.From(`(${common}, ${columns})`).WithName(name))
const database = new Symbols.DatabaseSymbol.ctor('insights', symbols)
const globals = GlobalState.Default.WithDatabase(database)

const findings = []
for (const { name, text } of JSON.parse(fs.readFileSync(0, 'utf8'))) {
  const diagnostics = KustoCode.ParseAndAnalyze(text, globals).GetDiagnostics()
  for (let i = 0; i < diagnostics.Count; i++) {
    const d = diagnostics.getItem(i)
    findings.push({ name, message: `${d.Severity}: ${d.Message}`, at: text.slice(d.Start, d.Start + d.Length) })
  }
}
process.stdout.write(JSON.stringify(findings))
