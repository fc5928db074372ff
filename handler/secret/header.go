package secret

import "strings"

// marks are parts of the names of headers that hold secrets, such as Api-Key,
// Authorization, X-Auth-Token, X-MS-TOKEN-AAD-ACCESS-TOKEN and Cookie.
var marks = []string{"key", "token", "auth", "cookie", "secret", "password", "credential"}

// Header reports whether a header may hold a secret, judging by its name. The value of
// such a header must not reach a row, a metric or a log line.
func Header(name string) bool {
	name = strings.ToLower(name)
	for _, mark := range marks {
		if strings.Contains(name, mark) {
			return true
		}
	}
	return false
}
