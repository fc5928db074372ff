// What parameters are made of.

@export()
@description('A model deployed on Foundry.')
type modelDeployment = {
  @description('The deployment\'s name: what callers ask for.')
  @minLength(2)
  @maxLength(64)
  deployment: string
  @description('The model\'s name in Foundry\'s catalogue.')
  name: string
  @description('The model\'s version.')
  version: string
  @description('Who publishes the model: DeepSeek, OpenAI, …')
  format: string
  @description('How it is billed and where it runs: GlobalStandard, DataZoneStandard, GlobalProvisionedManaged, …')
  sku: string
  @description('Capacity in the units of the SKU: what the limit in tokens a minute is made of. A provisioned SKU takes 15 or more.')
  @minValue(1)
  capacity: int
}

@export()
@description('How instances are made and how many there may be.')
type scaling = {
  @description('Memory of an instance in MB. Tollgate needs little; more memory also brings more processor.')
  instanceMemoryMB: 512 | 2048 | 4096
  @description('Calls that an instance takes at once. Calls wait on the model for most of their time, so far more than a processor would suggest.')
  @minValue(1)
  @maxValue(1000)
  perInstanceConcurrency: int
  @description('Instances that are kept running, and paid for, without calls.')
  @minValue(0)
  @maxValue(40)
  alwaysReady: int
  @description('At most so many instances, not fewer than alwaysReady. Some regions may refuse fewer than 40. Tollgate counts exactly with up to 64 of them at work on one subscription.')
  @minValue(1)
  @maxValue(1000)
  maximumInstances: int
}
