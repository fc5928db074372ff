// Package azure holds what all clients of Azure share.
//
// For Table Storage, Open returns a client of the account that the AzureWebJobsStorage settings
// name. HasCode and Explain read its errors: which answer the service gave, and what may be
// shown. Retry and Hedge repeat requests that got no answer; Insert, List and Columns save
// code around the SDK's own functions. For every service there are Credential and
// BearerTokens, RetryAfter, IsLoopback and IsUnresolvedReference.
//
// Start reading at Open, then errors.go.
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

// Settings say where the tables are, and how to open them: by a connection string, or as an
// identity.
// Source: https://learn.microsoft.com/azure/azure-functions/functions-reference#connecting-to-host-storage-with-an-identity
type Settings struct {
	// ConnectionString is AzureWebJobsStorage: an account's connection string with its key, or
	// UseDevelopmentStorage=true for the emulator on its default port. It overrides all other
	// settings.
	ConnectionString secret.Text
	// AccountName is AzureWebJobsStorage__accountName: an account of Azure's public cloud, to be
	// opened as an identity.
	AccountName string
	// TableServiceURI is AzureWebJobsStorage__tableServiceUri: the URL of the tables, to be
	// opened as an identity. It overrides AccountName.
	TableServiceURI string
	// Credential is AzureWebJobsStorage__credential: "managedidentity", or empty for any
	// identity that the environment offers, such as a developer's login.
	Credential string
	// ClientID is AzureWebJobsStorage__clientId: the client ID of a user-assigned managed
	// identity. It implies "managedidentity".
	ClientID string
}

// ReadSettings reads the settings from environment variables.
func ReadSettings(getenv func(string) string) Settings {
	text := func(suffix string) string { return strings.TrimSpace(getenv(setting + suffix)) }
	return Settings{
		ConnectionString: secret.New(text("")),
		AccountName:      text("__accountName"),
		TableServiceURI:  text("__tableServiceUri"),
		Credential:       text("__credential"),
		ClientID:         text("__clientId"),
	}
}

const (
	// dialTimeout bounds the making of a connection.
	dialTimeout = 5 * time.Second
	// callTimeout bounds a request: it is the service's own limit for its operations.
	// Source: https://learn.microsoft.com/rest/api/storageservices/setting-timeouts-for-table-service-operations
	callTimeout = 30 * time.Second
	// idleConnections is the most connections that stay open between calls: busy
	// counters write concurrently, and a new connection costs several round trips.
	idleConnections = 100
)

// Open returns a client of the account's tables. It makes no request. An error names each
// faulty setting and the fix. The client doesn't retry, because only its callers know which of
// their writes may be sent twice.
func Open(s Settings) (*aztables.ServiceClient, error) {
	options := &aztables.ClientOptions{ClientOptions: azcore.ClientOptions{
		Retry:     policy.RetryOptions{MaxRetries: -1},
		Transport: newHTTPClient(),
	}}
	if !s.ConnectionString.Empty() {
		return openWithKey(s.ConnectionString, options)
	}
	address, wrong := s.address()
	credential, err := s.identity()
	if err := errors.Join(wrong, err); err != nil {
		return nil, err
	}
	service, err := aztables.NewServiceClient(address, credential, options)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot open the tables at %s: %w", setting, address, err)
	}
	return service, nil
}

// newHTTPClient returns a client that follows no redirects, because a request carries a
// credential.
func newHTTPClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: dialTimeout}).DialContext
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, idleConnections
	return &http.Client{
		Transport:     transport,
		Timeout:       callTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// identity returns the managed identity that the settings name, else any identity
// that the environment offers.
func (s Settings) identity() (credential azcore.TokenCredential, err error) {
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
