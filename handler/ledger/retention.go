package ledger

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// DefaultRetention is how long days are kept by default: a year and a month, so that a
// month can be compared with the same one a year before.
const DefaultRetention = 400 * day

// ParseRetention reads how long days are kept: whole days such as 400d. Empty:
// DefaultRetention.
func ParseRetention(text string) (time.Duration, error) {
	if text == "" {
		return DefaultRetention, nil
	}
	number, ok := strings.CutSuffix(text, "d")
	n, err := strconv.ParseUint(number, 10, 14)
	if !ok || err != nil || n == 0 {
		return 0, errors.New("use whole days, such as 400d, at least 1d and at most 16383d")
	}
	return time.Duration(n) * day, nil
}
