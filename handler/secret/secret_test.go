package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"tollgate/handler/secret"
)

func TestNoPrintShowsASecret(t *testing.T) {
	holder := struct{ Key secret.Text }{secret.New("canary")}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", holder.Key, "holder", holder)
	encoded, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{
		fmt.Sprint(holder), fmt.Sprintf("%v %+v %#v %s %q %x", holder, holder, holder, holder.Key, holder.Key, holder.Key),
		log.String(), string(encoded),
	} {
		if strings.Contains(shown, "canary") || strings.Contains(shown, fmt.Sprintf("%x", "canary")) {
			t.Errorf("printed %s, want no secret", shown)
		}
	}
	if holder.Key.Reveal() != "canary" {
		t.Errorf("Reveal = %q, want canary", holder.Key.Reveal())
	}
}
