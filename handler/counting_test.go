package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestOnlyAModelOfUnknownEncodingIsNamedInAWarning(t *testing.T) {
	var log bytes.Buffer
	prepareCounting([]string{"DeepSeek-R1", "gpt-4o", "nobodys-model"}, slog.New(slog.NewTextHandler(&log, nil)))
	if got := log.String(); strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, "nobodys-model") {
		t.Errorf("logged %s", got)
	}
}
