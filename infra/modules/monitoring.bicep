metadata description = 'Log Analytics, Application Insights on top of it, and who is told when something is wrong.'

import { roles } from 'roles.bicep'

@description('The workspace\'s name.')
param workspaceName string
@description('The Application Insights resource\'s name.')
param insightsName string
param location string
param tags { *: string }
@description('How long logs and metrics are kept.')
@minValue(30)
@maxValue(730)
param retentionDays int
@description('The resource id of the app\'s identity, which publishes metrics.')
param appIdentityId string
@description('The object id of the app\'s identity.')
param appPrincipalId string
@description('Where alerts are sent.')
param alertEmails string[]

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: workspaceName
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: retentionDays
    features: { enableLogAccessUsingOnlyResourcePermissions: true }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: insightsName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    IngestionMode: 'LogAnalytics'
    DisableLocalAuth: true
    // Without it the token metrics lose their dimensions in the metrics store.
    // Source: https://learn.microsoft.com/azure/api-management/llm-emit-token-metric-policy
    #disable-next-line BCP037
    CustomMetricsOptedInType: 'WithDimensions'
  }
}

resource publisher 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: insights
  name: guid(insights.id, appIdentityId, roles.monitoringMetricsPublisher)
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roles.monitoringMetricsPublisher
    )
  }
}

resource actionGroup 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'tollgate'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'tollgate'
    emailReceivers: [
      for (address, i) in alertEmails: {
        name: 'email-${i + 1}'
        emailAddress: address
        useCommonAlertSchema: true
      }
    ]
  }
}

output workspaceId string = workspace.id
output insightsId string = insights.id
output connectionString string = insights.properties.ConnectionString
output actionGroupId string = actionGroup.id
