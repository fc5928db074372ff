#!/bin/sh
# The commands of `make deploy`, `make refresh`, `make publish` and `make destroy`. Each
# checks its tool and login, says what it will do, and asks first unless YES=1.
# Usage: infra/azure.sh deploy|refresh|publish|destroy, settings in the environment.
set -eu
cd "$(dirname "$0")/.."
. infra/checks.sh

package=.artifacts/tollgate.zip
app_folder=.artifacts/app
parameters=${PARAMETERS:-infra/main.bicepparam}
func=${FUNC:-func}

stop() { echo "$*" >&2; exit 1; }

# setting NAME EXAMPLE: stops if the environment variable is empty.
setting() {
  eval "value=\${$1:-}"
  [ -n "$value" ] || stop "$1 is missing: set it, as in make $command $2"
}

# logged_in: stops unless az is installed, logged in and has a subscription.
logged_in() {
  command -v az >/dev/null || stop "az is not installed: https://learn.microsoft.com/cli/azure/install-azure-cli explains how to install it."
  account=$(az account show --query "join(' ', [name, id])" --output tsv 2>/dev/null) ||
    stop "az is not logged in: run az login, and az account set --subscription NAME if there are several."
  case "$account" in "N/A("*) stop "az is logged in without a subscription: az account list shows yours, and az account set --subscription NAME selects one." ;; esac
}

# agreed QUESTION ANSWER: stops unless the user gives this answer, or YES=1.
agreed() {
  [ "${YES:-}" = 1 ] && return
  [ -t 0 ] || [ "${ANSWER_FROM_STDIN:-}" = 1 ] || stop "There is no terminal to ask for confirmation on: set YES=1 to confirm."
  printf '%s ' "$1"
  read -r answer || answer=
  [ "$answer" = "$2" ] || stop "Cancelled. Nothing was changed."
}

# output NAME: prints an output of the deployment.
output() {
  az deployment group show --resource-group "$GROUP" --name tollgate --query "properties.outputs.$1.value" --output tsv
}

# pause SECONDS, or RETRY_SECONDS if that is set.
pause() { sleep "${RETRY_SECONDS:-$1}"; }

# within SECONDS COMMAND…: runs a command, and kills it after that time.
within() {
  limit=$1
  shift
  "$@" &
  command_id=$!
  (
    sleeper=
    trap 'kill $sleeper; exit' TERM # TERM may come before the sleep starts
    sleep "$limit" &
    sleeper=$!
    wait $sleeper && kill "$command_id"
  ) >/dev/null 2>&1 &
  timer_id=$!
  wait "$command_id" && status=0 || status=$?
  kill "$timer_id" 2>/dev/null || true
  return $status
}

# resolve makes the app read its Key Vault references again, and waits until each is
# resolved. If the app's role doesn't work yet, Azure tries an unresolved reference again
# only after a day, and the gateway doesn't start with one.
# Source: https://learn.microsoft.com/azure/app-service/app-service-key-vault-references
resolve() {
  site=$(az functionapp show --resource-group "$GROUP" --name "$app" --query id --output tsv)
  references=$site/config/configreferences/appsettings
  for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    az rest --method post --url "$references/refresh?api-version=2022-03-01" --output none || true # the state below shows a failure
    state=$(az rest --method get --url "$references?api-version=2022-03-01" --query "value[].[name, properties.status]" --output tsv) || state=
    waiting=$(printf '%s\n' "$state" | sed '/	Resolved$/d')
    [ -z "$state" ] || [ -n "$waiting" ] || { echo "All Key Vault references are resolved."; return; }
    echo "Key Vault references not resolved yet (try $try of 20):" ${waiting:-all}
    [ $try = 20 ] || pause 30
  done
  stop "The references were not resolved within 10 minutes. Check that the app's identity has the role Key Vault Secrets User on the vault and that each secret exists, then run: make refresh GROUP=$GROUP APP=$app"
}

# upload: the role that lets the app store its package may be minutes old and not work
# everywhere yet; then the upload is refused, and tried again. az also fails if the
# package was accepted but the app doesn't start.
upload() {
  log=.artifacts/upload.$$.log
  trap 'rm -f "$log"' EXIT
  for try in 1 2 3 4 5; do
    echo "Uploading the package."
    within "${UPLOAD_SECONDS:-600}" az functionapp deployment source config-zip --resource-group "$GROUP" --name "$app" --src "$package" --output none >"$log" 2>&1 &&
      return || status=$?
    case "$(cat "$log")" in
      *"Deployment was successful"* | *"Failed to fetch host key"*) unhealthy && return ;;
      *BlobUploadFailed* | *403*) ;;
      *) [ $status -gt 128 ] && late && return || refused ;;
    esac
    [ $try = 5 ] && refused
    echo "The upload was refused (try $try of 5). Retrying in ${RETRY_SECONDS:-30} s: a new role takes a while to work everywhere."
    pause 30
  done
}

# refused: stops with what to do if Azure did not accept the package.
refused() {
  cat "$log" >&2
  stop "The package was not uploaded. Everything else is deployed: run make deploy again to continue from here."
}

# unhealthy: explains that the package was accepted, but az did not see the app answer.
unhealthy() {
  if [ -n "$front_door" ]; then
    echo "The package was uploaded. az could not check the app, because only your Front Door may call it."
  else
    cat "$log" >&2
    echo "The package was uploaded, but az did not see the app start."
  fi
}

# late: explains that az did not finish in time.
late() {
  [ -n "$front_door" ] && echo "az did not finish in time. That is expected with frontDoorId: az calls the app, and only your Front Door may." ||
    { cat "$log" >&2; stop "az did not finish within ${UPLOAD_SECONDS:-600} s, so the package may or may not be uploaded: run make deploy again to continue from here."; }
}

# greet requests the gateway's models without a key: Tollgate answers 401 with a request
# id. Any other answer is not Tollgate's.
greet() {
  if [ -n "$front_door" ]; then
    echo "The gateway is not checked, because only your Front Door may call $url. Request /models through it: Tollgate answers 401 with an X-Request-Id."
    return
  fi
  for try in 1 2 3 4 5 6 7 8 9 10 11 12; do
    answer=$(curl --silent --show-error --max-time 30 --output /dev/null --dump-header - "$url/models" 2>&1) || true
    case "$(printf '%s\n' "$answer" | lower)" in http/*" 401"*x-request-id:*) echo "Tollgate answers at $url."; return ;; esac
    [ $try = 12 ] || pause 10
  done
  stop "The package is uploaded, but Tollgate does not answer at $url. The last answer: $(printf '%s\n' "$answer" | sed q). See 'When something is wrong' in docs/operate.md."
}

deploy() {
  setting GROUP "GROUP=tollgate LOCATION=swedencentral"
  logged_in
  command -v curl >/dev/null || stop "curl is not installed: make deploy uses it at the end to check that the gateway answers."
  subscription=$(az account show --query id --output tsv)
  exists=$(az group exists --name "$GROUP")
  [ "$exists" = true ] || [ -n "${LOCATION:-}" ] ||
    stop "There is no resource group $GROUP yet, and LOCATION, the region to create it in, is missing: make deploy GROUP=$GROUP LOCATION=swedencentral"
  # Let the user who deploys run the tollgate command line. A pipeline has no user.
  OPERATOR_IDS=${OPERATOR_IDS:-$(az ad signed-in-user show --query id --output tsv 2>/dev/null || true)}
  export OPERATOR_IDS
  check_all
  front_door=$(parameter frontDoorId)
  [ "${WHAT_IF:-}" != 1 ] || { preview; return; }

  echo "In the subscription $account:"
  [ "$exists" = true ] || echo "  create the resource group $GROUP in $LOCATION"
  echo "  deploy infra/main.bicep to $GROUP with $parameters"
  echo "  allow ${OPERATOR_IDS:-nobody (set OPERATOR_IDS to the object ids of people or groups)} to run the tollgate command line"
  [ -n "$(alerted)" ] || echo "  send alerts to nobody (set alertEmails in $parameters)"
  echo "  deploy $package to the app"
  agreed "Continue? [y/N]" y

  "${MAKE:-make}" package
  [ "$exists" = true ] || az group create --name "$GROUP" --location "$LOCATION" --output none
  az deployment group create --resource-group "$GROUP" --name tollgate --parameters "$parameters" --output none
  app=$(output appName)
  url=$(output url)
  resolve
  upload
  greet
  echo
  output answeredBy
  echo "Next:"
  output next
}

# preview shows what a deployment would change, without changing anything.
preview() {
  [ "$exists" = true ] || stop "There is no resource group $GROUP, and a preview needs one: az group create --name $GROUP --location $LOCATION"
  az deployment group what-if --resource-group "$GROUP" --name tollgate --parameters "$parameters"
}

# refresh is for a changed secret, and for azd, which has its own deployment. It restarts
# the app, since a running gateway keeps the secrets that it read at its start.
refresh() {
  setting GROUP "GROUP=tollgate APP=func-tollgate-…"
  setting APP "GROUP=$GROUP APP=func-tollgate-…"
  logged_in
  app=$APP
  resolve
  az functionapp restart --resource-group "$GROUP" --name "$app" --output none
  echo "$app is restarting."
}

publish() {
  setting APP "APP=func-tollgate-…"
  command -v "$func" >/dev/null || stop "$func is not installed: https://learn.microsoft.com/azure/azure-functions/functions-run-local explains how to install it (npm install -g azure-functions-core-tools@4)."
  logged_in # func publishes with az's login
  echo "In the subscription $account:"
  echo "  publish $app_folder to the app $APP, replacing what it runs"
  agreed "Continue? [y/N]" y
  "${MAKE:-make}" package
  cd "$app_folder"
  FUNCTIONS_WORKER_RUNTIME=custom "$func" azure functionapp publish "$APP" --no-build ||
    stop "func failed, or did not see the app start. If it says that the deployment was successful, the package is uploaded: with frontDoorId func can't check the app; otherwise see 'When something is wrong' in docs/operate.md."
}

destroy() {
  setting GROUP GROUP=tollgate
  logged_in
  [ "$(az group exists --name "$GROUP")" = true ] || stop "There is no resource group $GROUP in the subscription $account."
  echo "In the subscription $account, delete the resource group $GROUP with everything in it:"
  az resource list --resource-group "$GROUP" --query "[].join(' ', [type, name])" --output tsv | sed 's/^/  /'
  echo "All keys, limits and usage are lost. The Key Vault can be recovered for 90 days and reserves its name for that time; the Foundry resource reserves its name for 2 days. docs/deploy.md explains how to deploy again."
  agreed "Type the group's name to confirm:" "$GROUP"
  az group delete --name "$GROUP" --yes
}

command=${1:-}
case "$command" in
  deploy | refresh | publish | destroy) "$command" ;;
  *) stop "usage: infra/azure.sh deploy|refresh|publish|destroy" ;;
esac
