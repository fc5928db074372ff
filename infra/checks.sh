# The checks that infra/azure.sh makes before it changes anything. Sourced, not run.
# Each check adds what is missing, with the command that fixes it, to $missing.

# The first az with `az bicep snapshot`. Older ones also wait forever for an app that they
# can't reach.
# Sources: https://github.com/Azure/azure-cli/pull/33398, https://github.com/Azure/azure-cli/pull/33388
oldest_az=2.88.0
# The first Bicep with snapshot; the templates themselves need 0.38.3.
# Source: https://github.com/Azure/bicep/releases/tag/v0.41.2
oldest_bicep=0.41.2
providers="Microsoft.Web Microsoft.Storage Microsoft.KeyVault Microsoft.CognitiveServices Microsoft.OperationalInsights Microsoft.Insights Microsoft.AlertsManagement Microsoft.ManagedIdentity"
network_providers="Microsoft.Network Microsoft.App"

missing=
need() { missing="$missing
- $*"; }

# rank VERSION: prints the first three numbers of a version as one comparable number.
rank() {
  echo "$1" | sed -n 's/^[^0-9]*\([0-9][0-9]*\)\.\([0-9][0-9]*\)\.\([0-9][0-9]*\).*/\1 \2 \3/p' | {
    read -r major minor patch || { echo 0; return; }
    echo $((major * 1000000 + minor * 1000 + patch))
  }
}

check_versions() {
  have=$(az version --query '"azure-cli"' --output tsv)
  [ "$(rank "$have")" -ge "$(rank $oldest_az)" ] || need "az is version $have, and $oldest_az or newer is needed: az upgrade"
  have=$(az bicep version 2>/dev/null) || have=
  if [ -z "$have" ]; then
    need "Bicep is not installed: az bicep install"
  elif [ "$(rank "$have")" -lt "$(rank $oldest_bicep)" ]; then
    need "$have is too old, and $oldest_bicep or newer is needed: az bicep upgrade"
  fi
}

# evaluate: sets $evaluated to the parameter file's values, as JSON with one value a line.
evaluate() {
  [ -f "$parameters" ] || stop "There is no parameter file $parameters: set PARAMETERS to an existing file, or leave it out to use infra/main.bicepparam."
  evaluated=$(az bicep build-params --file "$parameters" --stdout) || stop "$parameters can't be read: Bicep's errors are above. Nothing was changed."
  evaluated=$(printf '%s\n' "$evaluated" | sed 's/","templateJson":.*//; s/\\r//g; s/\\n/\
/g; s/\\"/"/g')
}

# parameter NAME: prints a parameter's value (string, number or boolean); nothing if it
# isn't given.
parameter() {
  printf '%s\n' "$evaluated" | sed -n '/^    "'"$1"'": {$/,/^    }/s/^      "value": "\{0,1\}\([^"]*\)"\{0,1\}$/\1/p'
}

# of_model NAME: prints a property of the parameter model.
of_model() {
  printf '%s\n' "$evaluated" | sed -n '/^    "model": {$/,/^    }/s/^        "'"$1"'": "\{0,1\}\([^",]*\)"\{0,1\},\{0,1\}$/\1/p'
}

# alerted: prints "some" if the parameter file sends alerts to anyone.
alerted() { printf '%s\n' "$evaluated" | sed -n '/^    "alertEmails": {$/,/^    }/s/^      "value": \[$/some/p'; }

# check_parameters makes Bicep evaluate the whole template, whose own checks report
# parameters that can't work together.
check_parameters() {
  copy=$(dirname "$parameters")/.tollgate-check.$$ # beside the file, whose paths are relative
  cat "$parameters" >"$copy.bicepparam"
  said=$(az bicep snapshot --file "$copy.bicepparam" --mode Overwrite --subscription-id "$subscription" --resource-group "$GROUP" --location "$place" 2>&1) && failed= || failed=1
  rm -f "$copy.bicepparam" "$copy.snapshot.json"
  [ -z "$failed" ] || need "$parameters is not valid: $(printf '%s\n' "$said" | sed -n "s/.*is not valid: //; s/\. Please see https:.*//; /./p")"
}

check_providers() {
  known=$(az provider list --query "[?registrationState=='Registered'].namespace" --output tsv) ||
    { echo "The registered resource providers can't be read: skipping this check."; return; }
  known=" $(echo $known | lower) " # in one line
  [ "$(parameter privateNetwork)" = true ] && providers="$providers $network_providers"
  for provider in $providers; do
    case "$known" in
      *" $(echo "$provider" | lower) "*) ;;
      *) need "The resource provider $provider is not registered: az provider register --namespace $provider --wait" ;;
    esac
  done
}

lower() { sed 'y/ABCDEFGHIJKLMNOPQRSTUVWXYZ/abcdefghijklmnopqrstuvwxyz/'; }

# check_rights checks that the user may create resources and assign roles at the scope,
# whichever roles and groups grant that.
check_rights() {
  scope=/subscriptions/$subscription
  [ "$exists" != true ] || scope=$scope/resourceGroups/$GROUP
  make="contains(actions, '*') || contains(actions, 'Microsoft.Web/*') || contains(actions, 'Microsoft.Web/sites/write')"
  give="contains(actions, '*') && !contains(notActions, 'Microsoft.Authorization/*/Write') && !contains(notActions, 'Microsoft.Authorization/*/write')"
  give="($give) || contains(actions, 'Microsoft.Authorization/*') || contains(actions, 'Microsoft.Authorization/roleAssignments/*') || contains(actions, 'Microsoft.Authorization/roleAssignments/write')"
  may=$(az rest --method get --url "$scope/providers/Microsoft.Authorization/permissions?api-version=2022-04-01" \
    --query "join(' ', [to_string(length(value[?$make])), to_string(length(value[?$give]))])" --output tsv) ||
    { echo "Your permissions can't be read: skipping this check."; return; }
  case "$may" in "0 "*) need "You may not create resources: az role assignment create --role Contributor --assignee YOU --scope $scope, run by an owner" ;; esac
  case "$may" in *" 0") need "You may not assign roles: az role assignment create --role 'Role Based Access Control Administrator' --assignee YOU --scope $scope, run by an owner" ;; esac
}

# check_model: the region has the model, or the resource that is there can be called.
check_model() {
  resource=$(parameter foundryAccountId)
  if [ -n "$resource" ]; then
    kind=$(az resource show --ids "$resource" --query kind --output tsv 2>/dev/null) || kind=
    case "$kind" in
      AIServices | OpenAI) ;;
      '') need "The resource $resource doesn't exist, or you may not read it: correct foundryAccountId in $parameters" ;;
      *) need "$resource is of kind $kind, which can't answer chat completions: name one of kind AIServices or OpenAI in foundryAccountId" ;;
    esac
  fi
  [ -z "$resource$(parameter upstreamUrl)" ] || return 0
  region=$(parameter location)
  region=${region:-$place}
  name=$(of_model name) version=$(of_model version) format=$(of_model format) sku=$(of_model sku)
  skus=$(az cognitiveservices model list --location "$region" \
    --query "[?model.name=='$name' && model.version=='$version' && model.format=='$format'].model.skus[].name" --output tsv) ||
    { echo "The models of $region can't be read: skipping this check."; return; }
  list="az cognitiveservices model list --location $region --query \"[?model.format=='$format'].[model.name, model.version, join(' ', model.skus[].name)]\" --output table"
  [ -n "$skus" ] || { need "$region has no $format $name, version $version: choose another model in $parameters or another LOCATION; $list shows the choices"; return; }
  case " $(echo $skus) " in
    *" $sku "*) ;;
    *) need "$region has $format $name, version $version, but not as $sku: choose another sku or model in $parameters or another LOCATION; $list shows the choices" ;;
  esac
}

# check_all stops if anything is missing. SKIP_CHECKS=1 skips the checks, for example for a
# custom role that they don't recognize.
check_all() {
  if [ "$exists" = true ]; then place=$(az group show --name "$GROUP" --query location --output tsv); else place=$LOCATION; fi
  [ "${SKIP_CHECKS:-}" != 1 ] || { evaluate; return; }
  check_versions
  [ -z "$missing" ] || stop "Nothing was changed. First fix:$missing" # the other checks need both
  evaluate
  check_parameters
  check_providers
  check_rights
  check_model
  [ -z "$missing" ] || stop "Nothing was changed. First fix:$missing"
}
