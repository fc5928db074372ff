package secret

import "strings"

// secretWords are parts of the names of headers that hold secrets, such as Api-Key,
// Authorization, X-Auth-Token, X-MS-TOKEN-AAD-ACCESS-TOKEN and Cookie.
var secretWords = []string{"key", "token", "auth", "cookie", "secret", "password", "credential"}

// SensitiveHeader reports whether a header may hold a secret, judging by its name. The value
// of such a header must not reach a row, a metric or a log line.
func SensitiveHeader(name string) bool {
	name = strings.ToLower(name)
	for _, mark := range secretWords {
		if strings.Contains(name, mark) {
			return true
		}
	}
	return false
}
