// What can't work in a combination of parameters, each in a sentence that says
// what to change.

import { modelDeployment, scaling } from 'types.bicep'

@description('The parameters of main.bicep that can be at odds.')
type parameters = {
  model: modelDeployment
  scale: scaling
  foundryAccountId: string
  upstreamUrl: string
  clientIpHeader: string
  frontDoorId: string
  housekeepingSchedule: string
  settings: { *: string }
}

@export()
@description('The faults of parameters. None: an empty list.')
func faultsOf(p parameters) string[] =>
  filter(
    concat(upstreamFaults(p), scaleFaults(p.model, p.scale), callerFaults(p), settingFaults(p.settings)),
    fault => !empty(fault)
  )

func upstreamFaults(p parameters) string[] => [
  !empty(p.foundryAccountId) && !empty(p.upstreamUrl)
    ? 'foundryAccountId and upstreamUrl both name the endpoint: leave one of them empty.'
    : ''
  !empty(p.foundryAccountId) && !isAccountId(p.foundryAccountId)
    ? 'foundryAccountId is "${p.foundryAccountId}": use a resource id, /subscriptions/…/resourceGroups/…/providers/Microsoft.CognitiveServices/accounts/NAME.'
    : ''
]

func isAccountId(id string) bool =>
  length(split(id, '/')) == 9 && startsWith(id, '/subscriptions/') && contains(
    toLower(id),
    '/providers/microsoft.cognitiveservices/accounts/'
  )

func scaleFaults(model modelDeployment, scale scaling) string[] => [
  scale.alwaysReady > scale.maximumInstances
    ? 'scale.alwaysReady is ${scale.alwaysReady}, above scale.maximumInstances, ${scale.maximumInstances}: lower the first or raise the second.'
    : ''
  endsWith(model.sku, 'Batch')
    ? 'model.sku is ${model.sku}, which takes batches of files and no calls: use GlobalStandard, DataZoneStandard, Standard or a provisioned one.'
    : ''
  contains(model.sku, 'Provisioned') && model.capacity < 15
    ? 'model.capacity is ${model.capacity} units of throughput: ${model.sku} takes 15 or more.'
    : ''
]

func callerFaults(p parameters) string[] => [
  !empty(p.clientIpHeader) && empty(p.frontDoorId)
    ? 'clientIpHeader is ${p.clientIpHeader} without frontDoorId, so that any caller could write its own address: set frontDoorId, or leave clientIpHeader empty.'
    : ''
  hoursBetween(p.housekeepingSchedule) == 0
    ? 'The schedule of housekeeping is "${p.housekeepingSchedule}": use six fields, second minute hour day month weekday, with day, month and weekday *, such as 0 0 * * * *.'
    : ''
]

@export()
@description('At most how many hours pass between two runs of a schedule. 0: it is none, or skips days.')
func hoursBetween(schedule string) int =>
  length(split(schedule, ' ')) != 6 || !endsWith(schedule, ' * * *') ? 0 : hoursOf(split(schedule, ' ')[2])

func hoursOf(hours string) int =>
  hours == '*'
    ? 1
    : startsWith(hours, '*/') && contains(stepsOfADay, substring(hours, 2)) ? int(substring(hours, 2)) : 24

var stepsOfADay = map(range(1, 23), hours => string(hours))

// Names that secrets have. Those with a reference to Key Vault for a value hold none.
var secretEndings = ['_KEY', '_PEPPER', '_SECRET', '_PASSWORD']

func settingFaults(settings { *: string }) string[] =>
  map(
    filter(items(settings), setting => isSecret(setting.key, setting.value)),
    setting =>
      setting.key == 'MANAGE_KEY'
        ? 'settings has MANAGE_KEY, which is for a gateway on your own machine: set manageAudience.'
        : 'settings has a secret in ${setting.key}, which the deployment\'s history would keep readable: give it in secretSettings.'
  )

func isSecret(name string, value string) bool =>
  !startsWith(value, '@Microsoft.KeyVault(') && (name == 'UPSTREAMS'
    ? contains(toLower(value), '"apikey"')
    : !empty(filter(secretEndings, ending => endsWith(toUpper(name), ending))) || contains(value, 'AccountKey='))
