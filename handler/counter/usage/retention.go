package usage

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// DefaultRetention is the time that the history is kept by default: a
// quarter, for questions about the last bills.
const DefaultRetention = 90 * day

// ParseRetention reads the time that the history is kept: whole days such as
// 90d, or a duration of a minute or more such as 36h. Empty:
// DefaultRetention.
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
