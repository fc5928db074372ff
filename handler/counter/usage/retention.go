package usage

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// UsualRetention is how long the history is kept where nobody says otherwise: a
// quarter, the longest that a bill is usually asked about.
const DefaultRetention = 90 * day

// ParseRetention reads how long the history is kept: whole days, 90d, or any
// other time of a minute or more, 36h. Empty is UsualRetention.
func ParseRetention(text string) (time.Duration, error) {
	if text == "" {
		return DefaultRetention, nil
	}
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		d = time.Duration(n) * day
	}
	if err != nil || d < time.Minute {
		return 0, errors.New("use days, such as 90d, or a time of a minute or more, such as 36h")
	}
	return d, nil
}
