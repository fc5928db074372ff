package fakemodel_test

import (
	"strings"
	"testing"

	"tollgate/handler/local/fakemodel"
)

func TestAnswersSayWhichServiceTierServedThemWhereTheCallAsksForOne(t *testing.T) {
	bodies := map[string]string{
		"/openai/v1/chat/completions": `{"model":"gpt-4.1",FIELDS"messages":[{"role":"user","content":"x"}]}`,
		responses:                     `{"model":"gpt-4.1",FIELDS"input":"x"}`,
	}
	for path, body := range bodies {
		for fields, want := range map[string]any{
			``: nil, `"service_tier":null,`: nil, `"service_tier":"auto",`: "default", `"service_tier":"default",`: "default",
			`"service_tier":"flex",`: "flex", `"service_tier":"priority",`: "priority",
		} {
			var e fakemodel.Endpoint
			plain := call(t, &e, "POST", path, strings.Replace(body, "FIELDS", fields, 1))
			all := events(t, call(t, &e, "POST", path, strings.Replace(body, "FIELDS", `"stream":true,`+fields, 1)).text)
			streamed := all[0].fields
			if path == responses {
				streamed, _ = at(last(all, "response.completed").fields, "response").(map[string]any)
			}
			if got, inStream := plain.fields["service_tier"], streamed["service_tier"]; got != want || inStream != want {
				t.Errorf("%s with %s: got the tier %v, streamed %v; want %v", path, fields, got, inStream, want)
			}
		}
		for _, wrong := range []string{`"scale-up"`, `""`, `7`} {
			var e fakemodel.Endpoint
			if got := call(t, &e, "POST", path, strings.Replace(body, "FIELDS", `"service_tier":`+wrong+`,`, 1)); got.status != 400 {
				t.Errorf("%s with tier %s: got %d %s, want 400", path, wrong, got.status, got.text)
			}
		}
	}
}
