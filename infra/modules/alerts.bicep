metadata description = 'The alert rules. Their queries are the files ../queries/alert-*.kql.'

@description('The Application Insights resource that the gateway sends to.')
param applicationInsightsId string
@description('Who is told.')
param actionGroupId string
param location string
param tags { *: string }
@description('How many times its usual hour a subscription may take in an hour before that is a runaway.')
@minValue(2)
param runawayTimes int = 5
@description('How many hours pass between two runs of housekeeping.')
@minValue(1)
param housekeepingHours int
@description('Whether the rules are evaluated.')
param enabled bool = true

@description('One rule. It fires where the column passes the threshold, for each set of the dimensions\' values by itself.')
type rule = {
  name: string
  title: string
  description: string
  @description('0 critical, 1 error, 2 warning, 3 information.')
  severity: 0 | 1 | 2 | 3
  query: string
  column: string
  @description('Columns. Empty: the rule is of the whole gateway.')
  dimensions: string[]
  threshold: int
  @description('Far longer than the time between evaluations: telemetry arrives minutes late.')
  window: string
  @description('How far back the query looks, where that is further than the window.')
  lookBack: string?
}

// A log alert looks back two days at most.
var silenceHours = min(3 * housekeepingHours, 48)

var rules rule[] = [
  {
    name: 'quota-80'
    title: 'Tollgate: 80% of a quota is used'
    description: '80% of a quota is used: of a subscription, or of a counter that its tier or group shares. Raise the quota, or tell its owner when the next period begins.'
    severity: 2
    query: loadTextContent('../queries/alert-quota.kql')
    column: 'Percent'
    dimensions: ['Owner', 'Limit']
    threshold: 80
    window: 'PT15M'
  }
  {
    name: 'quota-100'
    title: 'Tollgate: a quota is used up'
    description: 'All of a quota is used, or what is left is too little for a call: calls are refused with 403 until the next period begins.'
    severity: 1
    query: loadTextContent('../queries/alert-quota.kql')
    column: 'Percent'
    dimensions: ['Owner', 'Limit']
    threshold: 100
    window: 'PT15M'
  }
  {
    name: 'threshold'
    title: 'Tollgate: a limit tells how much of its quota is used'
    description: 'A percent at which a limit tells (alertAt) is reached: once a counter and period for each. Raise the quota, or tell its owner when the next period begins.'
    severity: 3
    query: loadTextContent('../queries/alert-threshold.kql')
    column: 'Percent'
    dimensions: ['Limit', 'Counter', 'Threshold']
    threshold: 1
    window: 'PT15M'
  }
  {
    name: 'refusals'
    title: 'Tollgate: a subscription keeps being refused'
    description: 'A subscription was refused for its limits in 10 of the last 15 minutes: it needs another tier, or it calls in a loop.'
    severity: 2
    query: loadTextContent('../queries/alert-refusals.kql')
    column: 'Minutes'
    dimensions: ['Subscription']
    threshold: 10
    window: 'PT15M'
  }
  {
    name: 'degraded'
    title: 'Tollgate: the counters\' store is out of reach'
    description: 'Instances decided by themselves for 5 seconds or more, because the counters\' tables did not answer. Look at the storage account\'s availability and throttling.'
    severity: 1
    query: loadTextContent('../queries/alert-degraded.kql')
    column: 'Seconds'
    dimensions: []
    threshold: 5
    window: 'PT15M'
  }
  {
    name: 'unknown-usage'
    title: 'Tollgate: upstream does not tell what calls took'
    description: 'Of 5% of the calls or more upstream did not tell the usage. They are charged by the gateway\'s own count; look at what changed at the model\'s endpoint.'
    severity: 2
    query: loadTextContent('../queries/alert-unknown-usage.kql')
    column: 'Percent'
    dimensions: []
    threshold: 5
    window: 'PT15M'
  }
  {
    name: 'ingestion'
    title: 'Tollgate: telemetry is lost'
    description: 'Telemetry was lost on its way to Application Insights. The gateway\'s log says why; tollgate metrics replay sends the minutes again.'
    severity: 2
    query: loadTextContent('../queries/alert-ingestion.kql')
    column: 'Items'
    dimensions: []
    threshold: 1
    window: 'PT15M'
  }
  {
    name: 'cost-runaway'
    title: 'Tollgate: a subscription\'s tokens run away'
    description: 'A subscription took ${runawayTimes} times its usual hour\'s tokens, or more, in the last hour.'
    severity: 1
    query: loadTextContent('../queries/alert-cost-runaway.kql')
    column: 'Times'
    dimensions: ['Subscription']
    threshold: runawayTimes
    window: 'PT1H'
    lookBack: 'P2D'
  }
  {
    name: 'housekeeping'
    title: 'Tollgate: housekeeping does not run'
    description: 'Housekeeping had no successful run in the last ${silenceHours} hours: usage is not rolled up, days are not closed and old rows not deleted. Look for its lines in the log (msg housekeeping), and restart the app if there are none.'
    severity: 2
    query: replace(
      loadTextContent('../queries/alert-housekeeping.kql'),
      'let silence = 3h;',
      'let silence = ${silenceHours}h;'
    )
    column: 'Missed'
    dimensions: []
    threshold: 1
    window: 'PT1H'
    lookBack: 'P2D'
  }
]

resource alerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for item in rules: {
    name: 'tollgate-${item.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: item.title
      description: item.description
      severity: item.severity
      enabled: enabled
      skipQueryValidation: true // the tables of a new component may not be there yet
      scopes: [applicationInsightsId]
      evaluationFrequency: 'PT5M'
      windowSize: item.window
      overrideQueryTimeRange: item.?lookBack
      criteria: {
        allOf: [
          {
            query: item.query
            metricMeasureColumn: item.column
            timeAggregation: 'Maximum'
            operator: 'GreaterThanOrEqual'
            threshold: item.threshold
            dimensions: map(item.dimensions, column => { name: column, operator: 'Include', values: ['*'] })
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      autoMitigate: true
      actions: { actionGroups: [actionGroupId] }
    }
  }
]

output alertNames string[] = [for item in rules: 'tollgate-${item.name}']
