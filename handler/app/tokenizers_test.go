package app

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"tollgate/handler/secret"
	"tollgate/handler/shape"
	"tollgate/handler/upstream"
)

func TestAModelWithoutAKnownEncodingLogsAWarning(t *testing.T) {
	var log bytes.Buffer
	client, err := upstream.New([]upstream.Endpoint{{URL: "http://127.0.0.1:1", Shape: shape.OpenAI, Key: secret.New("k"), Models: map[string]upstream.Model{
		"DeepSeek-R1": {Name: "DeepSeek-R1"}, "gpt-4o": {Name: "chat-prod", Family: "gpt-4o"}, "smart": {Name: "o3"}, "nobodys-model": {Name: "x"}}}}, upstream.Timeouts{})
	if err != nil {
		t.Fatal(err)
	}
	loadTokenizers([]string{"DeepSeek-R1", "gpt-4o", "smart", "nobodys-model"}, client, slog.New(slog.NewTextHandler(&log, nil)))
	if got := log.String(); strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, "nobodys-model") {
		t.Errorf("logged: got %s, want one warning, for nobodys-model", got)
	}
}
