// The roles that are given to anybody here, each the smallest that does.
// Source: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles

@export()
var roles = {
  blobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  tableDataReader: '76199698-9eea-4c19-bc75-cec21354c6b6'
  tableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
  monitoringMetricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb'
  cognitiveServicesUser: 'a97b65f3-24c7-4388-baec-2e87135dc908'
  cognitiveServicesOpenAIUser: '5e0bd9bd-7b93-4f28-af87-19fc36ad61bd'
  keyVaultSecretsUser: '4633458b-17de-408a-b874-0445c86b69e6'
}

@export()
@description('The smallest role that may call a model. OpenAI\'s own has no access to keys; models of other publishers, and the shape "models", need data actions that only the wider one has.')
func callerRole(format string, shape string) string =>
  format == 'OpenAI' && shape != 'models' ? roles.cognitiveServicesOpenAIUser : roles.cognitiveServicesUser
