package azure

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"tollgate/handler/local/azurite"
	"tollgate/handler/secret"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

const key = "a2V5" // base64

func TestOpenNamesTheSettingAndTheFix(t *testing.T) {
	for name, test := range map[string]struct {
		settings map[string]string // by suffix of AzureWebJobsStorage
		want     []string
	}{
		"nothing":             {nil, []string{"AzureWebJobsStorage is missing: set it to a connection string or UseDevelopmentStorage=true"}},
		"no connection":       {map[string]string{"": "canary"}, []string{"AzureWebJobsStorage is not a connection string: copy it"}},
		"no account":          {map[string]string{"": "AccountKey=canary"}, []string{"has no AccountName: copy it"}},
		"no key":              {map[string]string{"": "AccountName=canary"}, []string{"has no AccountKey: copy it"}},
		"key cut off":         {map[string]string{"": "AccountName=a;AccountKey=canary"}, []string{"AccountKey that is not base64"}},
		"signature":           {map[string]string{"": "AccountName=a;SharedAccessSignature=canary"}, []string{"has a SharedAccessSignature", "__accountName"}},
		"endpoint":            {map[string]string{"": "AccountName=a;AccountKey=" + key + ";TableEndpoint=canary"}, []string{"TableEndpoint that is not a URL"}},
		"emulator and more":   {map[string]string{"": "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://canary"}, []string{"has more than UseDevelopmentStorage=true"}},
		"unresolved":          {map[string]string{"": "@Microsoft.KeyVault(SecretUri=https://canary)"}, []string{"Key Vault", "was not resolved"}},
		"account's address":   {map[string]string{"__accountName": "https://a.table.core.windows.net"}, []string{"AzureWebJobsStorage__accountName is", "only the account's name"}},
		"http":                {map[string]string{"__tableServiceUri": "http://a.table.core.windows.net"}, []string{"AzureWebJobsStorage__tableServiceUri is", "use https://"}},
		"address with secret": {map[string]string{"__tableServiceUri": "https://a.table.core.windows.net?sv=1"}, []string{"AzureWebJobsStorage__tableServiceUri is"}},
		"two at once":         {map[string]string{"__accountName": "A", "__credential": "password"}, []string{"__accountName is", `__credential is "password": use managedidentity`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(ReadSettings(environment(test.settings)))
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q in it", err, want)
				}
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("got %v, want no connection string in it", err)
			}
		})
	}
}

// environment returns the settings of AzureWebJobsStorage by suffix, with blanks
// around them.
func environment(settings map[string]string) func(string) string {
	return func(name string) string {
		suffix, ours := strings.CutPrefix(name, "AzureWebJobsStorage")
		if value, set := settings[suffix]; ours && set {
			return " " + value + "\n"
		}
		return ""
	}
}

func TestOpenAcceptsTheConventionalSettings(t *testing.T) {
	for name, settings := range map[string]map[string]string{
		"emulator":             {"": "UseDevelopmentStorage=true;"},
		"connection string":    {"": "DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=" + key + ";EndpointSuffix=core.windows.net"},
		"account":              {"__accountName": "acct"},
		"address":              {"__tableServiceUri": "https://acct.table.core.chinacloudapi.cn/"},
		"the host's leftovers": {"": "UseDevelopmentStorage=true", "__accountName": "ignored"},
	} {
		if _, err := Open(ReadSettings(environment(settings))); err != nil {
			t.Errorf("%s: got %v, want no error", name, err)
		}
	}
}

func TestDevelopmentStorageIsTheEmulatorsAccount(t *testing.T) {
	if fault := connectionFault(developmentStorage); fault != "" {
		t.Fatalf("the emulator's connection string: got the fault %q, want none", fault)
	}
	for _, part := range []string{azurite.AccountName, azurite.AccountKey, "http://127.0.0.1:10002/"} {
		if !strings.Contains(developmentStorage, part) {
			t.Errorf("the emulator's connection string: got %q, want it to contain %s", developmentStorage, part)
		}
	}
}

func TestTheSettingsSelectTheCredential(t *testing.T) {
	for name, test := range map[string]struct {
		settings Settings
		managed  bool
	}{
		"managed identity":          {Settings{Credential: "ManagedIdentity"}, true},
		"managed identity, by id":   {Settings{Credential: "managedidentity", ClientID: "c"}, true},
		"an id alone":               {Settings{ClientID: "c"}, true},
		"whichever there is":        {Settings{}, false},
		"whichever, of one account": {Settings{AccountName: "a"}, false},
	} {
		credential, err := test.settings.identity()
		if err != nil {
			t.Fatalf("%s: got %v, want no error", name, err)
		}
		if _, managed := credential.(*azidentity.ManagedIdentityCredential); managed != test.managed {
			t.Errorf("%s: got %T, want a managed identity: %t", name, credential, test.managed)
		}
	}
}

func TestOpenReachesTables(t *testing.T) {
	service, err := Open(Settings{ConnectionString: secret.New(azurite.Shared(t))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := service.NewListTablesPager(nil).NextPage(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestSettingsPrintNoKey(t *testing.T) {
	s := Settings{ConnectionString: secret.New("canary"), AccountName: "acct"}
	if shown := fmt.Sprintf("%v %+v %#v", s, s, s); strings.Contains(shown, "canary") || !strings.Contains(shown, "acct") {
		t.Errorf("got %s, want the account's name and no key", shown)
	}
}
