package secret

import "strings"

// marks are what names of headers with secrets have in them: Api-Key,
// Authorization, X-Auth-Token, X-MS-TOKEN-AAD-ACCESS-TOKEN, Cookie.
var marks = []string{"key", "token", "auth", "cookie", "secret", "password", "credential"}

// Header reports whether a header of this name may carry a secret, going by
// its name. Its value must not become part of a row, a metric or a log line.
func Header(name string) bool {
	name = strings.ToLower(name)
	for _, mark := range marks {
		if strings.Contains(name, mark) {
			return true
		}
	}
	return false
}
