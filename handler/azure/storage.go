// Package azure opens Azure Table Storage as the Functions conventions name it,
// and tells what became of an operation there.
package azure

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/secret"
)

// setting is the name that all settings of the storage begin with.
const setting = "AzureWebJobsStorage"

// Settings say where the tables are: a connection string, or an account and an
// identity.
// Source: https://learn.microsoft.com/azure/azure-functions/functions-reference#connecting-to-host-storage-with-an-identity
type Settings struct {
	// ConnectionString is an account's, with its key, or UseDevelopmentStorage=true
	// for the emulator on its usual port. AzureWebJobsStorage: before all others.
	ConnectionString secret.Text
	// AccountName names an account that an identity may use.
	// AzureWebJobsStorage__accountName: of Azure's public cloud.
	AccountName string
	// TableServiceURI is where such an account's tables are.
	// AzureWebJobsStorage__tableServiceUri: before the account's name.
	TableServiceURI string
	// Credential is how to log in. AzureWebJobsStorage__credential: managedidentity,
	// or empty for whichever the environment offers, a developer's login included.
	Credential string
	// ClientID picks a user-assigned identity. AzureWebJobsStorage__clientId: then
	// Credential is managedidentity without saying so.
	ClientID string
}

// Read takes the settings from an environment.
func Read(getenv func(string) string) Settings {
	text := func(suffix string) string { return strings.TrimSpace(getenv(setting + suffix)) }
	return Settings{
		ConnectionString: secret.New(text("")),
		AccountName:      text("__accountName"),
		TableServiceURI:  text("__tableServiceUri"),
		Credential:       text("__credential"),
		ClientID:         text("__clientId"),
	}
}

// What bounds a call to the tables.
const (
	dialTimeout = 5 * time.Second
	// callTimeout is the service's own for its operations.
	// Source: https://learn.microsoft.com/rest/api/storageservices/setting-timeouts-for-table-service-operations
	callTimeout = 30 * time.Second
	// idleConnections is how many stay open between calls: busy counters write
	// side by side, and a new connection costs several round trips.
	idleConnections = 100
)

// Open makes a client of the account's tables. It makes no call: what is wrong
// with the settings themselves is an error that names each setting and its fix.
// Retries are left to the callers, who know which of their writes may be sent twice.
func Open(s Settings) (*aztables.ServiceClient, error) {
	options := &aztables.ClientOptions{ClientOptions: azcore.ClientOptions{
		Retry:     policy.RetryOptions{MaxRetries: -1},
		Transport: client(),
	}}
	if !s.ConnectionString.Empty() {
		return openWithKey(s.ConnectionString, options)
	}
	address, wrong := s.address()
	credential, err := s.credential()
	if err := errors.Join(wrong, err); err != nil {
		return nil, err
	}
	service, err := aztables.NewServiceClient(address, credential, options)
	if err != nil {
		return nil, fmt.Errorf("%s can't be opened at %s: %w", setting, address, err)
	}
	return service, nil
}

func client() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: dialTimeout}).DialContext
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, idleConnections
	return &http.Client{
		Transport:     transport,
		Timeout:       callTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// credential is the managed identity that the settings name, else whichever
// the environment offers.
func (s Settings) credential() (credential azcore.TokenCredential, err error) {
	switch {
	case strings.EqualFold(s.Credential, "managedidentity") || s.Credential == "" && s.ClientID != "":
		options := &azidentity.ManagedIdentityCredentialOptions{}
		if s.ClientID != "" {
			options.ID = azidentity.ClientID(s.ClientID)
		}
		credential, err = azidentity.NewManagedIdentityCredential(options)
	case s.Credential == "":
		credential, err = azidentity.NewDefaultAzureCredential(nil)
	default:
		return nil, fmt.Errorf("%s__credential is %q: use managedidentity, or leave it out", setting, s.Credential)
	}
	if err != nil {
		return nil, fmt.Errorf("%s can't be opened: log in with an identity: %w", setting, err)
	}
	return credential, nil
}
