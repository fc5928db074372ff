package console_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"tollgate/handler/console"
)

// TestTheConsoleHandlesErrorsAndLongNames tests the page with long names, a gateway that is unreachable or
// breaks off answers, and invalid numbers. The script prints each case that fails.
func TestTheConsoleHandlesErrorsAndLongNames(t *testing.T) {
	chromium := browser(t)
	mux := http.NewServeMux()
	mux.Handle(console.Prefix+"/", console.Handler())
	mux.HandleFunc("/usage", func(w http.ResponseWriter, _ *http.Request) { // breaks off its answer
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("{"))
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "node", "browser/trouble.mjs", server.URL)
	command.Env = append(os.Environ(), "CHROMIUM_PATH="+chromium)
	out, err := command.CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("got error %v and\n%.6000s\nwant no findings", err, out)
	}
}
