package azure

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/secret"
)

// developmentStorage is the connection string for which UseDevelopmentStorage=true is short:
// the emulator's published account. The SDK doesn't know the short form.
// Source: https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string
const developmentStorage = "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;" +
	"AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;" +
	"TableEndpoint=http://127.0.0.1:10002/devstoreaccount1"

// openWithKey opens the account of a connection string. Its errors don't quote the
// string.
func openWithKey(connection secret.Text, options *aztables.ClientOptions) (*aztables.ServiceClient, error) {
	text := strings.TrimRight(connection.Reveal(), "; ")
	if strings.EqualFold(text, "UseDevelopmentStorage=true") {
		text = developmentStorage
	}
	if fault := connectionFault(text); fault != "" {
		return nil, fmt.Errorf("%s %s", setting, fault)
	}
	service, err := aztables.NewServiceClientFromConnectionString(text, options)
	if err != nil { // the SDK's error may quote the string
		return nil, errors.New(setting + " is not a valid connection string: copy it from the storage account's access keys")
	}
	return service, nil
}

// connectionFault returns what is wrong with a connection string, and the fix. It returns
// nothing for a valid one.
func connectionFault(text string) string {
	const copied = "copy it from the storage account's access keys"
	if IsUnresolvedReference(text) {
		return "is a reference to Key Vault that was not resolved: give the app's identity access to the secret"
	}
	parts := make(map[string]string)
	for part := range strings.SplitSeq(text, ";") {
		name, value, found := strings.Cut(part, "=")
		if !found {
			return "is not a connection string: " + copied + ", or use UseDevelopmentStorage=true"
		}
		parts[name] = value
	}
	_, emulator := parts["UseDevelopmentStorage"]
	_, signature := parts["SharedAccessSignature"]
	key, err := base64.StdEncoding.DecodeString(parts["AccountKey"])
	switch {
	case emulator:
		return "has more than UseDevelopmentStorage=true: use only that, or for an emulator elsewhere a connection string with TableEndpoint"
	case signature:
		return "has a SharedAccessSignature, which expires: use AccountKey, or an identity with " + setting + "__accountName"
	case parts["AccountName"] == "":
		return "has no AccountName: " + copied
	case parts["AccountKey"] == "":
		return "has no AccountKey: " + copied
	case err != nil || len(key) == 0:
		return "has an AccountKey that is not base64, so it was cut or altered: " + copied
	}
	if endpoint, given := parts["TableEndpoint"]; given && !isAddress(endpoint, "http", "https") {
		return "has a TableEndpoint that is not a URL: use one such as http://127.0.0.1:10002/devstoreaccount1"
	}
	return ""
}

// accountNamePattern matches the names that Azure allows for storage accounts.
var accountNamePattern = regexp.MustCompile(`^[a-z0-9]{3,24}$`)

// address returns the URL of the tables, for an account that is opened as an identity.
func (s Settings) address() (string, error) {
	switch {
	case s.TableServiceURI != "":
		if !isAddress(s.TableServiceURI, "https") { // an identity's token must not go over http
			return "", fmt.Errorf("%s__tableServiceUri is %q: use https://<account>.table.core.windows.net", setting, s.TableServiceURI)
		}
		return s.TableServiceURI, nil
	case s.AccountName == "":
		return "", fmt.Errorf("%s is missing: set it to a connection string or UseDevelopmentStorage=true, or set %s__accountName", setting, setting)
	case !accountNamePattern.MatchString(s.AccountName):
		return "", fmt.Errorf("%s__accountName is %q: use only the account's name, 3 to 24 of a-z and 0-9", setting, s.AccountName)
	}
	return "https://" + s.AccountName + ".table.core.windows.net", nil
}

// isAddress reports whether text is a URL with one of the schemes, without a user, a
// query or a fragment.
func isAddress(text string, schemes ...string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	for _, scheme := range schemes {
		if u.Scheme == scheme {
			return true
		}
	}
	return false
}
