package insights

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// String returns the item in one line, for people to read.
func (i Item) String() string {
	at := i.At.Local().Format("15:04:05")
	switch {
	case i.Metric != nil:
		m := i.Metric
		line := fmt.Sprintf("%s metric      %s/%s %s", at, m.Namespace, m.Name, number(m.Value))
		if m.Count > 1 {
			line += fmt.Sprintf(" of %d, %s to %s", m.Count, number(m.Min), number(m.Max))
		}
		return line + list(i.Properties)
	case i.Request != nil:
		return fmt.Sprintf("%s request     %s %s %s%s%s", at, i.Request.Name, i.Request.ResponseCode, short(i.Request.Duration), numbers(i.Request.Measurements), list(i.Properties))
	case i.Dependency != nil:
		return fmt.Sprintf("%s dependency  %s %s %s %s%s%s", at, i.Dependency.Target, i.Dependency.Name, i.Dependency.ResultCode, short(i.Dependency.Duration), numbers(i.Dependency.Measurements), list(i.Properties))
	case i.Event != nil:
		return fmt.Sprintf("%s event       %s%s%s", at, i.Event.Name, numbers(i.Event.Measurements), list(i.Properties))
	}
	return at + " nothing"
}

// number formats a value with at most three decimals.
func number(value float64) string {
	return strconv.FormatFloat(math.Round(value*1000)/1000, 'f', -1, 64)
}

// short formats a duration in seconds: 0.00:00:01.5000000 is 1.5s.
func short(text string) string {
	var days, hours, minutes int
	var seconds float64
	if _, err := fmt.Sscanf(text, "%d.%d:%d:%f", &days, &hours, &minutes, &seconds); err != nil {
		return text
	}
	return number(float64(days*86400+hours*3600+minutes*60)+seconds) + "s"
}

func list(all map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, name+"="+all[name])
	}
	return " {" + strings.Join(parts, ", ") + "}"
}

func numbers(all map[string]float64) string {
	if len(all) == 0 {
		return ""
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, name+"="+number(all[name]))
	}
	return " [" + strings.Join(parts, ", ") + "]"
}
