metadata description = 'The workbook that shows tokens, limits, money and health.'

@description('The Application Insights resource that the gateway sends to.')
param applicationInsightsId string
param location string
param tags { *: string }

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(applicationInsightsId, 'tollgate-workbook')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Tollgate'
    category: 'workbook'
    version: 'Notebook/1.0'
    sourceId: applicationInsightsId
    serializedData: loadTextContent('../workbook.json')
  }
}

output workbookId string = workbook.id
