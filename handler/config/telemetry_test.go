package config

import (
	"maps"
	"strings"
	"testing"
)

func TestWrongTelemetrySettingsAreNamedWithTheFix(t *testing.T) {
	for name, wrong := range map[string][2]string{
		"APPLICATIONINSIGHTS_CONNECTION_STRING":     {"https://example.com", "overview page"},
		"APPLICATIONINSIGHTS_AUTHENTICATION_STRING": {"Authorization=Basic", "Authorization=AAD"},
		"METRIC_INTERVAL":                           {"7s", "divisor of a minute"},
		"METRIC_DIMENSIONS":                         {"Color", "Color={header:X-Team}"},
		"METRIC_MAX_SERIES":                         {"0", "from 1 to 50000"},
		"METRIC_CLIENT_IP":                          {"none", "full or truncated"},
		"TELEMETRY_SAMPLING":                        {"NaN", "from 0 to 1"},
	} {
		values := maps.Clone(validSettings)
		values[name] = wrong[0]
		if _, err := Load(env(values)); err == nil || !strings.HasPrefix(err.Error(), name+" ") || !strings.Contains(err.Error(), wrong[1]) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s=%s: got %v, want one fault that names the setting, with %q", name, wrong[0], err, wrong[1])
		}
	}
}
