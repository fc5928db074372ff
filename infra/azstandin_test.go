package infra_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jmespath/go-jmespath"
)

// TestMain runs the tests, or acts as az if a script calls this binary by that name.
func TestMain(m *testing.M) {
	if os.Getenv("AZ_STANDIN") == "1" {
		os.Exit(az(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// az answers like az with the state of Azure that the environment describes, and records
// each call. It applies queries to whole answers, as az does.
func az(args []string) (status int) {
	words, options := []string{}, map[string]string{}
	for i := 0; i < len(args); i++ {
		name, isOption := strings.CutPrefix(args[i], "--")
		switch {
		case !isOption:
			words = append(words, args[i])
		case i+1 < len(args) && !strings.HasPrefix(args[i+1], "--"):
			options[name] = args[i+1]
			i++
		default:
			options[name] = ""
		}
	}
	command := strings.Join(words, " ")
	note("az " + strings.Join(args, " "))
	answer, fault := answered(command, options)
	if fault != "" {
		fmt.Fprintln(os.Stderr, "ERROR: "+fault)
		return 1
	}
	if text, isText := answer.(string); isText && options["query"] == "" {
		fmt.Println(text)
		return 0
	}
	if query := options["query"]; query != "" {
		var err error
		if answer, err = jmespath.Search(query, answer); err != nil {
			fmt.Fprintf(os.Stderr, "ERROR: argument --query: invalid jmespath_type value: %s: %v\n", query, err)
			return 2
		}
	}
	switch options["output"] {
	case "tsv":
		fmt.Print(tsv(answer))
	case "": // JSON
		text, _ := json.MarshalIndent(answer, "", "  ")
		fmt.Println(string(text))
	}
	return 0
}

// tsv formats a value like az --output tsv.
func tsv(value any) string {
	rows, isList := value.([]any)
	switch {
	case value == nil:
		return ""
	case !isList:
		return fmt.Sprintln(value)
	}
	var text strings.Builder
	for _, row := range rows {
		cells, isList := row.([]any)
		if !isList {
			cells = []any{row}
		}
		for i, cell := range cells {
			if i > 0 {
				text.WriteByte('\t')
			}
			if cell != nil {
				fmt.Fprint(&text, cell)
			}
		}
		text.WriteByte('\n')
	}
	return text.String()
}

// note appends a line to the list of calls.
func note(line string) {
	file, err := os.OpenFile(os.Getenv("CALLS"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	fmt.Fprintln(file, line)
}

// next returns the outcome of this call from a comma-separated list. The last one repeats.
func next(name, fallback string) string {
	counter := filepath.Join(filepath.Dir(os.Getenv("CALLS")), name)
	text, _ := os.ReadFile(counter) // none before the first call
	n, _ := strconv.Atoi(string(text))
	if err := os.WriteFile(counter, []byte(strconv.Itoa(n+1)), 0o600); err != nil {
		panic(err)
	}
	outcomes := strings.Split(or(name, fallback), ",")
	return outcomes[min(n, len(outcomes)-1)]
}

func or(name, fallback string) string {
	if value, set := os.LookupEnv(name); set {
		return value
	}
	return fallback
}

// rights holds the permissions of roles, as Azure lists them.
// Source: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
var rights = map[string]string{
	"Owner":       `{"actions":["*"],"notActions":[]}`,
	"Contributor": `{"actions":["*"],"notActions":["Microsoft.Authorization/*/Delete","Microsoft.Authorization/*/Write","Microsoft.Authorization/elevateAccess/Action","Microsoft.Blueprint/blueprintAssignments/write"]}`,
	"Role Based Access Control Administrator": `{"actions":["Microsoft.Authorization/roleAssignments/write","Microsoft.Authorization/roleAssignments/delete","*/read","Microsoft.Support/*"],"notActions":[]}`,
	"User Access Administrator":               `{"actions":["*/read","Microsoft.Authorization/*","Microsoft.Support/*"],"notActions":[]}`,
	"Reader":                                  `{"actions":["*/read"],"notActions":[]}`,
}

func decoded(text string) (value any) {
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		panic(err)
	}
	return value
}

// outputs holds the deployment's outputs.
const outputs = `{"properties":{"outputs":{"appName":{"value":"func-tollgate-x"},"url":{"value":"https://func-tollgate-x.azurewebsites.net"},
	"answeredBy":{"value":"DeepSeek-R1 is answered by DeepSeek-V3.2"},"next":{"value":["tollgate tier set","tollgate key create"]}}}}`

const models = `[
	{"kind":"AIServices","skuName":"S0","model":{"format":"DeepSeek","name":"DeepSeek-V3.2","version":"1","skus":[{"name":"GlobalStandard","capacity":{"maximum":5000}}]}},
	{"kind":"OpenAI","skuName":"S0","model":{"format":"OpenAI","name":"gpt-4o","version":"2024-11-20","skus":[{"name":"Standard"},{"name":"GlobalStandard"}]}},
	{"kind":"AIServices","skuName":"S0","model":{"format":"OpenAI","name":"gpt-4o","version":"2024-11-20","skus":[{"name":"Standard"},{"name":"GlobalStandard"}]}}]`

// uploads holds az's messages for uploads that fail.
var uploads = map[string]string{
	"role": "Deployment failed. InvalidPackageContentException: Status Code: 400, Details: BlobUploadFailedException: Failed to upload blob to storage account: " +
		"Response status code does not indicate success: 403 (This request is not authorized to perform this operation using this permission.)",
	"unhealthy": "Deployment was successful but the app appears to be unhealthy. Please check the app logs.",
	"key":       "Failed to fetch host key to check for function app status: Operation returned an invalid status 'Service Unavailable'",
	"broken":    "Deployment failed. InvalidPackageContentException: the package has no host.json",
}

// answered returns Azure's answer to a command, or the error message.
func answered(command string, options map[string]string) (answer any, fault string) {
	switch command {
	case "account show":
		switch {
		case os.Getenv("LOGGED_OUT") != "":
			return nil, "Please run 'az login' to setup account."
		case os.Getenv("NO_SUBSCRIPTION") != "":
			return decoded(`{"name":"N/A(tenant level account)","id":"tenant"}`), ""
		}
		return decoded(`{"name":"Team","id":"0000-1111"}`), ""
	case "version":
		return decoded(fmt.Sprintf(`{"azure-cli":%q,"azure-cli-core":"2.1.0","extensions":{}}`, or("AZ_VERSION", "2.91.0"))), ""
	case "bicep version":
		if or("BICEP_VERSION", "0.49.2") == "" {
			return nil, "Bicep CLI not found. Install it now by running \"az bicep install\"."
		}
		return "Bicep CLI version " + or("BICEP_VERSION", "0.49.2") + " (b98a3e4c41)", ""
	case "bicep build-params", "bicep snapshot":
		return bicep(strings.TrimPrefix(command, "bicep "), options)
	case "group exists":
		return os.Getenv("EXISTS") == "true", ""
	case "group show":
		return decoded(`{"location":"westeurope"}`), ""
	case "ad signed-in-user show":
		if os.Getenv("ME") == "" {
			return nil, "/me request is only valid with delegated authentication flow."
		}
		return decoded(fmt.Sprintf(`{"id":%q}`, os.Getenv("ME"))), ""
	case "provider list":
		return registered(), ""
	case "rest":
		return rest(options)
	case "resource show":
		if os.Getenv("KIND") == "" {
			return nil, "(ResourceNotFound) The Resource was not found."
		}
		return decoded(fmt.Sprintf(`{"kind":%q}`, os.Getenv("KIND"))), ""
	case "cognitiveservices model list":
		return decoded(models), ""
	case "resource list":
		return decoded(`[{"type":"Microsoft.Web/sites","name":"func-tollgate-x"}]`), ""
	case "functionapp show":
		return decoded(`{"id":"/subscriptions/0000-1111/resourceGroups/g/providers/Microsoft.Web/sites/func-tollgate-x"}`), ""
	case "functionapp deployment source config-zip":
		return nil, uploaded()
	case "deployment group show":
		return decoded(outputs), ""
	case "deployment group create", "deployment group what-if":
		note("operators " + os.Getenv("OPERATOR_IDS"))
		return nil, ""
	case "group create", "group delete", "functionapp restart":
		return nil, ""
	}
	return nil, fmt.Sprintf("'%s' is misspelled or not recognized by the system.", command)
}

func uploaded() (fault string) {
	outcome := next("UPLOADS", "taken")
	if outcome == "forever" {
		time.Sleep(time.Hour)
	}
	return uploads[outcome]
}

// registered lists resource providers as Azure spells them, without those of UNREGISTERED.
func registered() any {
	all := []any{}
	for _, name := range []string{"Microsoft.Web", "Microsoft.Storage", "Microsoft.KeyVault", "Microsoft.CognitiveServices", "Microsoft.OperationalInsights",
		"microsoft.insights", "Microsoft.AlertsManagement", "Microsoft.ManagedIdentity", "Microsoft.Network", "Microsoft.App"} {
		state := "Registered"
		if strings.Contains(os.Getenv("UNREGISTERED"), name) {
			state = "NotRegistered"
		}
		all = append(all, map[string]any{"namespace": name, "registrationState": state})
	}
	return all
}

// rest answers calls of Azure's management API.
func rest(options map[string]string) (answer any, fault string) {
	path, _, _ := strings.Cut(options["url"], "?api-version=")
	switch {
	case strings.HasSuffix(path, "/providers/Microsoft.Authorization/permissions"):
		if os.Getenv("ROLES") == "hidden" {
			return nil, "Forbidden"
		}
		var all []string
		for role := range strings.SplitSeq(or("ROLES", "Owner"), ",") {
			all = append(all, rights[role])
		}
		return decoded(`{"value":[` + strings.Join(all, ",") + `]}`), ""
	case strings.HasSuffix(path, "/config/configreferences/appsettings/refresh") && options["method"] == "post":
		return nil, ""
	case strings.HasSuffix(path, "/config/configreferences/appsettings") && options["method"] == "get":
		switch status := next("REFERENCES", "Resolved"); status {
		case "none":
			return decoded(`{"value":[]}`), ""
		case "error":
			return nil, "Service Unavailable"
		default:
			return decoded(fmt.Sprintf(`{"value":[{"name":"KEY_PEPPER","properties":{"status":%q}},{"name":"UPSTREAM_API_KEY","properties":{"status":"Resolved"}}]}`, status)), ""
		}
	}
	return nil, "Not Found"
}

// bicep acts as az bicep: it runs the compiler that BICEP names, or else returns the
// parameters in GIVEN.
func bicep(command string, options map[string]string) (answer any, fault string) {
	file := options["file"]
	if compiler := os.Getenv("BICEP"); compiler != "" {
		args := []string{command, filepath.Base(file)}
		for _, name := range slices.Sorted(maps.Keys(options)) {
			if name == "stdout" {
				args = append(args, "--stdout")
			} else if name != "file" {
				args = append(args, "--"+name, options[name])
			}
		}
		run := exec.Command(compiler, args...)
		run.Dir, run.Env = filepath.Dir(file), append(os.Environ(), "PATH="+os.Getenv("BICEP_PATH"))
		text, err := run.Output()
		if err != nil {
			exit, _ := err.(*exec.ExitError)
			return nil, string(exit.Stderr)
		}
		return strings.TrimSpace(string(text)), ""
	}
	if command == "snapshot" {
		return "", os.Getenv("FAULT")
	}
	values := map[string]any{"model": decoded(`{"deployment":"DeepSeek-R1","name":"DeepSeek-V3.2","version":"1","format":"DeepSeek","sku":"GlobalStandard","capacity":100}`),
		"scale": decoded(`{"instanceMemoryMB":2048}`), "alertEmails": []any{}}
	maps.Copy(values, decoded(or("GIVEN", "{}")).(map[string]any))
	parameters := make(map[string]any)
	for name, value := range values {
		parameters[name] = map[string]any{"value": value}
	}
	text, _ := json.MarshalIndent(map[string]any{"contentVersion": "1.0.0.0", "parameters": parameters}, "", "  ")
	whole, _ := json.Marshal(struct {
		Parameters string `json:"parametersJson"`
		Template   string `json:"templateJson"`
	}{string(text), `{"parameters": {"frontDoorId": {"value": "of the template"}}}`})
	return string(whole), ""
}
