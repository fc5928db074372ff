// Package azure holds what all clients of Azure share. It opens the account that the
// AzureWebJobsStorage settings name, reads rows' columns, distinguishes final answers from
// lost ones, retries, makes errors that are safe to show, and gets identities' tokens.
// Start reading at Open.
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
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/secret"
)

// setting is the prefix of all storage settings.
const setting = "AzureWebJobsStorage"

// Settings locate the tables: a connection string, or an account and an identity.
// Source: https://learn.microsoft.com/azure/azure-functions/functions-reference#connecting-to-host-storage-with-an-identity
type Settings struct {
	// ConnectionString is an account's connection string with its key, or
	// UseDevelopmentStorage=true for the emulator on its default port.
	// AzureWebJobsStorage: overrides all others.
	ConnectionString secret.Text
	// AccountName names an account to open as an identity.
	// AzureWebJobsStorage__accountName: an account of Azure's public cloud.
	AccountName string
	// TableServiceURI is the URL of such an account's tables.
	// AzureWebJobsStorage__tableServiceUri: overrides the account's name.
	TableServiceURI string
	// Credential selects the identity. AzureWebJobsStorage__credential: managedidentity,
	// or empty for any that the environment offers, such as a developer's login.
	Credential string
	// ClientID selects a user-assigned identity. AzureWebJobsStorage__clientId: implies
	// managedidentity.
	ClientID string
}

// Read reads the settings from an environment.
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

// Limits of calls to the tables.
const (
	dialTimeout = 5 * time.Second
	// callTimeout is the service's own limit for its operations.
	// Source: https://learn.microsoft.com/rest/api/storageservices/setting-timeouts-for-table-service-operations
	callTimeout = 30 * time.Second
	// idleConnections is the most connections that stay open between calls: busy
	// counters write concurrently, and a new connection costs several round trips.
	idleConnections = 100
)

// Open returns a client of the account's tables. It makes no call. An error names each
// faulty setting and the fix. The client doesn't retry: its callers know which of their
// writes may be sent twice.
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
		return nil, fmt.Errorf("%s: cannot open the tables at %s: %w", setting, address, err)
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

// credential returns the managed identity that the settings name, else any credential
// that the environment offers.
func (s Settings) credential() (credential azcore.TokenCredential, err error) {
	switch {
	case strings.EqualFold(s.Credential, "managedidentity") || s.Credential == "" && s.ClientID != "":
		credential, err = managedIdentity(s.ClientID)
	case s.Credential == "":
		credential, err = Credential("")
	default:
		return nil, fmt.Errorf("%s__credential is %q: use managedidentity, or remove it", setting, s.Credential)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: no identity to open the tables with: %w", setting, err)
	}
	return credential, nil
}
