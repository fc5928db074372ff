// Package storage opens Azure Table Storage as the Functions conventions name it.
package storage

import (
	"errors"
	"fmt"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/secret"
)

// Settings say where the tables are: a connection string, or an account and an
// identity. They are read from the settings AzureWebJobsStorage,
// AzureWebJobsStorage__accountName, …__tableServiceUri and …__clientId.
// Source: https://learn.microsoft.com/azure/azure-functions/functions-reference#connecting-to-host-storage-with-an-identity
type Settings struct {
	// ConnectionString is an account's, with its key, or UseDevelopmentStorage=true
	// for the emulator on its usual port.
	ConnectionString secret.Text
	// AccountName or TableServiceURI name an account that an identity may use.
	AccountName     string
	TableServiceURI string
	// ClientID picks a user-assigned identity.
	ClientID string
}

// Read takes the settings from an environment.
func Read(getenv func(string) string) Settings {
	const prefix = "AzureWebJobsStorage"
	return Settings{
		ConnectionString: secret.New(strings.TrimSpace(getenv(prefix))),
		AccountName:      getenv(prefix + "__accountName"),
		TableServiceURI:  getenv(prefix + "__tableServiceUri"),
		ClientID:         getenv(prefix + "__clientId"),
	}
}

// developmentStorage is what UseDevelopmentStorage=true stands for: the
// emulator's published account, which the SDK doesn't know by that name.
// Source: https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string
const developmentStorage = "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;" +
	"AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;" +
	"TableEndpoint=http://127.0.0.1:10002/devstoreaccount1"

// Open makes a client of the account's tables. It makes no call: what is wrong
// with the settings themselves is an error that names the setting and the fix.
// Retries are left to the callers, who know which of their writes may be sent twice.
func Open(s Settings) (*aztables.ServiceClient, error) {
	options := &aztables.ClientOptions{ClientOptions: azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}}}
	if !s.ConnectionString.Empty() {
		text := s.ConnectionString.Reveal()
		if strings.EqualFold(strings.TrimSuffix(text, ";"), "UseDevelopmentStorage=true") {
			text = developmentStorage
		}
		client, err := aztables.NewServiceClientFromConnectionString(text, options)
		if err != nil { // the SDK's error may quote the text
			return nil, errors.New("AzureWebJobsStorage is not a connection string with AccountName and AccountKey: copy it from the storage account's access keys, or use UseDevelopmentStorage=true")
		}
		return client, nil
	}
	address, err := s.address()
	if err != nil {
		return nil, err
	}
	credential, err := s.credential()
	if err != nil {
		return nil, fmt.Errorf("AzureWebJobsStorage: use an identity: %w", err)
	}
	client, err := aztables.NewServiceClient(address, credential, options)
	if err != nil {
		return nil, fmt.Errorf("AzureWebJobsStorage: open %s: %w", address, err)
	}
	return client, nil
}

func (s Settings) address() (string, error) {
	switch {
	case s.TableServiceURI != "":
		if !strings.HasPrefix(s.TableServiceURI, "https://") {
			return "", errors.New("AzureWebJobsStorage__tableServiceUri is not https, which an identity's token needs: use https://<account>.table.core.windows.net")
		}
		return s.TableServiceURI, nil
	case s.AccountName == "":
		return "", errors.New("AzureWebJobsStorage is missing: set it to a connection string or UseDevelopmentStorage=true, or set AzureWebJobsStorage__accountName")
	case strings.Trim(s.AccountName, "abcdefghijklmnopqrstuvwxyz0123456789") != "":
		return "", fmt.Errorf("AzureWebJobsStorage__accountName is %q: use the account's name alone, of a-z and 0-9", s.AccountName)
	}
	return "https://" + s.AccountName + ".table.core.windows.net", nil
}

// credential is the managed identity that the settings name, else whichever
// the environment offers, a developer's login included.
func (s Settings) credential() (azcore.TokenCredential, error) {
	if s.ClientID != "" {
		return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ID: azidentity.ClientID(s.ClientID)})
	}
	return azidentity.NewDefaultAzureCredential(nil)
}
