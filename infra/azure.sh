#!/bin/sh
# What `make deploy`, `make publish` and `make destroy` do in Azure. Each checks
# for its tool and login, says what it will do, and asks unless YES=1.
# Usage: infra/azure.sh deploy|publish|destroy, settings in the environment.
set -eu
cd "$(dirname "$0")/.."

package=.artifacts/tollgate.zip
app_folder=.artifacts/app
parameters=${PARAMETERS:-infra/main.bicepparam}
func=${FUNC:-func}

stop() { echo "$*" >&2; exit 1; }

# setting NAME EXAMPLE: stops where the environment lacks it.
setting() {
  eval "value=\${$1:-}"
  [ -n "$value" ] || stop "$1 is missing: set it, as in make $command $2"
}

# logged_in: az is there, and knows a subscription.
logged_in() {
  command -v az >/dev/null || stop "az is not installed: https://learn.microsoft.com/cli/azure/install-azure-cli says how to get it."
  account=$(az account show --query "join(' ', [name, id])" --output tsv 2>/dev/null) ||
    stop "az is not logged in: run az login, and az account set --subscription NAME if there are several."
}

# agreed QUESTION ANSWER: goes on only with this answer, or YES=1.
agreed() {
  [ "${YES:-}" = 1 ] && return
  [ -t 0 ] || [ "${ANSWER_FROM_STDIN:-}" = 1 ] || stop "Nobody is here to agree: set YES=1."
  printf '%s ' "$1"
  read -r answer || answer=
  [ "$answer" = "$2" ] || stop "Nothing was done."
}

# output NAME: what the deployment says.
output() {
  az deployment group show --resource-group "$GROUP" --name tollgate --query "properties.outputs.$1.value" --output tsv
}

# upload: the role that lets the app store its package may be minutes old, and
# not in force everywhere yet; then the upload is refused.
upload() {
  for try in 1 2 3 4 5; do
    az functionapp deployment source config-zip --resource-group "$GROUP" --name "$app" --src "$package" --output none && return
    [ $try = 5 ] && stop "The package was not taken. Everything else is deployed: make deploy again goes on from here."
    echo "The package was not taken (try $try of 5). Again in ${RETRY_SECONDS:-30} s: a new role takes a while to be known everywhere."
    sleep "${RETRY_SECONDS:-30}"
  done
}

deploy() {
  setting GROUP "GROUP=tollgate LOCATION=swedencentral"
  logged_in
  exists=$(az group exists --name "$GROUP")
  [ "$exists" = true ] || setting LOCATION "GROUP=$GROUP LOCATION=swedencentral"
  # Whoever deploys may then run the tollgate command line. In a pipeline that is nobody.
  OPERATOR_IDS=${OPERATOR_IDS:-$(az ad signed-in-user show --query id --output tsv 2>/dev/null || true)}
  export OPERATOR_IDS

  echo "In the subscription $account:"
  [ "$exists" = true ] || echo "  make the resource group $GROUP in $LOCATION"
  echo "  deploy infra/main.bicep to $GROUP with $parameters"
  echo "  let ${OPERATOR_IDS:-nobody} run the tollgate command line"
  echo "  deploy $package to the app"
  agreed "Go on? [y/N]" y

  "${MAKE:-make}" package
  [ "$exists" = true ] || az group create --name "$GROUP" --location "$LOCATION" --output none
  az deployment group create --resource-group "$GROUP" --name tollgate --parameters "$parameters" --output none
  app=$(output appName)
  upload
  echo
  output answeredBy
  echo "Tollgate answers at $(output url). Next:"
  output next
}

publish() {
  setting APP "APP=func-tollgate-…"
  command -v "$func" >/dev/null || stop "$func is not installed: https://learn.microsoft.com/azure/azure-functions/functions-run-local says how to get it (npm install -g azure-functions-core-tools@4)."
  logged_in # func publishes with az's login
  echo "In the subscription $account:"
  echo "  publish $app_folder to the app $APP, replacing what it runs"
  agreed "Go on? [y/N]" y
  "${MAKE:-make}" package
  cd "$app_folder"
  FUNCTIONS_WORKER_RUNTIME=custom "$func" azure functionapp publish "$APP" --no-build
}

destroy() {
  setting GROUP GROUP=tollgate
  logged_in
  [ "$(az group exists --name "$GROUP")" = true ] || stop "There is no resource group $GROUP in the subscription $account."
  echo "In the subscription $account, delete the resource group $GROUP with everything in it:"
  az resource list --resource-group "$GROUP" --query "[].join(' ', [type, name])" --output tsv | sed 's/^/  /'
  echo "All keys, limits and usage are lost. The Key Vault can be recovered for 90 days, and keeps its name so long, as the Foundry resource does for 2: infra/README.md says how to deploy again."
  agreed "Type the group's name to go on:" "$GROUP"
  az group delete --name "$GROUP" --yes
}

command=${1:-}
case "$command" in
  deploy | publish | destroy) "$command" ;;
  *) stop "usage: infra/azure.sh deploy|publish|destroy" ;;
esac
