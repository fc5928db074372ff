package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode/utf16"

	"tollgate/handler/subscription/subscriptiontest"
)

func TestAUTF8ByteOrderMarkIsAcceptedAndOthersAreNamed(t *testing.T) {
	var sent string
	b := start(t, subscriptiontest.Limits{}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent = string(body)
		answering(1)(w, r)
	})
	if response, body := b.post(t, demoPath, "\xef\xbb\xbf"+demo); response.StatusCode != 200 || sent != demo {
		t.Errorf("UTF-8's: got %d %s, and the model was sent %q; want 200 and the body without it", response.StatusCode, body, sent)
	}
	if response, body := b.post(t, demoPath, "\xef\xbb\xbf\xef\xbb\xbf"+demo); response.StatusCode != 400 {
		t.Errorf("two of them: got %d %s, want 400", response.StatusCode, body)
	}
	var little, big strings.Builder
	for _, unit := range utf16.Encode([]rune("\ufeff" + demo)) {
		little.Write([]byte{byte(unit), byte(unit >> 8)})
		big.Write([]byte{byte(unit >> 8), byte(unit)})
	}
	for name, text := range map[string]string{"UTF-16LE": little.String(), "UTF-16BE": big.String(), "UTF-32BE": "\x00\x00\xfe\xff\x00\x00\x00{", "UTF-32LE": "\xff\xfe\x00\x00{\x00\x00\x00"} {
		if response, body := b.post(t, demoPath, text); response.StatusCode != 400 || !strings.Contains(body, "byte order mark") || !strings.Contains(body, "UTF-8") {
			t.Errorf("%s: got %d %s, want 400 that names the byte order mark and UTF-8", name, response.StatusCode, body)
		}
	}
}

func TestTheErrorForATooLargeBodyNamesTheSetting(t *testing.T) {
	b := start(t, subscriptiontest.Limits{}, answering(1))
	photo := strings.Replace(demo, `"Can you tell me the time, please?"`, `[{"type":"image_url","image_url":{"url":"data:image/jpeg;base64,`+strings.Repeat("A", 1<<16)+`"}}]`, 1)
	response, body := b.post(t, demoPath, photo)
	if response.StatusCode != 413 || !strings.Contains(body, "images and files") || !strings.Contains(body, "MAX_BODY_BYTES") || !strings.Contains(body, "65536") {
		t.Errorf("got %d %s, want 413 that names images and files, MAX_BODY_BYTES and 65536", response.StatusCode, body)
	}
}
