package config

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tollgate/handler/azure"
)

// settings reads an environment and collects every fault, so that an operator can fix all of
// them at once.
type settings struct {
	getenv func(string) string
	faults []error
}

// fault adds a fault of a setting: the problem follows the setting's name, the fix follows that.
func (s *settings) fault(name, problem, fix string) {
	s.faults = append(s.faults, fmt.Errorf("%s %s: %s", name, problem, fix))
}

// err returns all faults as one error, or nil.
func (s *settings) err() error { return errors.Join(s.faults...) }

// text returns a setting's value, or fallback if it is empty or missing. If the
// platform could not read a secret, the value is the Key Vault reference itself, which
// is no secret: text reports a fault.
// Source: https://learn.microsoft.com/azure/app-service/app-service-key-vault-references
func (s *settings) text(name, fallback string) string {
	value := strings.TrimSpace(s.getenv(name))
	if azure.IsUnresolvedReference(value) {
		s.fault(name, "is a reference to Key Vault that was not resolved", "give the app's identity access to the secret")
		return fallback
	}
	if value == "" {
		return fallback
	}
	return value
}

// required returns text that must not be empty. fix follows "is missing: " in the fault.
func (s *settings) required(name, fix string) string {
	if strings.TrimSpace(s.getenv(name)) == "" {
		s.fault(name, "is missing", fix)
	}
	return s.text(name, "")
}

// oneOf returns text that must be one of allowed; the first is the default.
func (s *settings) oneOf(name string, allowed ...string) string {
	value := s.text(name, allowed[0])
	for _, choice := range allowed {
		if value == choice {
			return value
		}
	}
	s.fault(name, fmt.Sprintf("is %q", value), "use "+strings.Join(allowed, " or "))
	return allowed[0]
}

// number returns a whole number from low to high.
func (s *settings) number(name string, fallback, low, high int64) int64 {
	value := s.text(name, "")
	if value == "" {
		return fallback
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < low || n > high {
		s.fault(name, fmt.Sprintf("is %q", value), fmt.Sprintf("use a whole number from %d to %d", low, high))
		return fallback
	}
	return n
}

// duration returns a duration above zero, such as 90s or 4m.
func (s *settings) duration(name string, fallback time.Duration) time.Duration {
	value := s.text(name, "")
	if value == "" {
		return fallback
	}
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		s.fault(name, fmt.Sprintf("is %q", value), "use a time above zero, such as 90s or 4m")
		return fallback
	}
	return d
}

// durationOrNone returns a duration of zero or more.
func (s *settings) durationOrNone(name string, fallback time.Duration) time.Duration {
	if value := s.text(name, ""); value == "0" || value == "0s" {
		return 0
	}
	return s.duration(name, fallback)
}

// tokensPerSecond returns rates by model: MODEL=NUMBER pairs, and a number by itself,
// under the empty name, for all other models.
func (s *settings) tokensPerSecond(name string) map[string]int64 {
	rates := make(map[string]int64)
	for _, part := range s.list(name) {
		model, number, named := strings.Cut(part, "=")
		if !named {
			model, number = "", part
		}
		model = strings.TrimSpace(model)
		rate, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		_, twice := rates[model]
		if err != nil || rate < 1 || rate > maxTokensPerSecond || twice || named && model == "" {
			s.fault(name, fmt.Sprintf("has %q", part), fmt.Sprintf("use a whole number from 1 to %d for all models, and MODEL=NUMBER once for each model that differs, separated by commas", maxTokensPerSecond))
			continue
		}
		rates[model] = rate
	}
	return rates
}

// maxTokensPerSecond is the largest rate accepted, more than any model writes.
const maxTokensPerSecond = 1_000_000

// list returns the parts of text separated by commas, trimmed and without empty ones.
func (s *settings) list(name string, fallback ...string) []string {
	var parts []string
	for part := range strings.SplitSeq(s.getenv(name), ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	if parts == nil {
		return fallback
	}
	return parts
}

// header returns the name of an HTTP header.
func (s *settings) header(name, fallback string) string {
	value := s.text(name, fallback)
	for i := range len(value) {
		if c := value[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?={}`, c) >= 0 {
			s.fault(name, fmt.Sprintf("is %q", value), "use a header's name, such as "+fallback)
			return fallback
		}
	}
	return value
}

// origins returns web origins as browsers send them, or * for all.
func (s *settings) origins(name string) []string {
	origins := s.list(name)
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if origin != "*" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || origin != u.Scheme+"://"+u.Host || strings.Contains(origin, "*")) {
			s.fault(name, fmt.Sprintf("has %q", origin), "use origins such as http://localhost:5173, without a path or a slash at the end, or only * for every page")
		}
	}
	return origins
}
