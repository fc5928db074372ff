package ledger

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// DefaultRetention is how long days are kept by default: more than a year and a month, so
// that a month can be compared with the same month of the year before.
const DefaultRetention = 400 * oneDay

// ParseRetention parses how long days are kept, written in whole days such as 400d. The empty
// text means DefaultRetention. The error's text is advice for writing it.
func ParseRetention(text string) (time.Duration, error) {
	if text == "" {
		return DefaultRetention, nil
	}
	number, ok := strings.CutSuffix(text, "d")
	n, err := strconv.ParseUint(number, 10, 14)
	if !ok || err != nil || n == 0 {
		return 0, errors.New("use whole days, such as 400d, at least 1d and at most 16383d")
	}
	return time.Duration(n) * oneDay, nil
}
