package fakemodel_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/local/fakemodel"
)

const responses = "/openai/v1/responses"

func TestAResponsesStreamHasUsageInItsLastEventAlone(t *testing.T) {
	for name, test := range map[string]struct{ body, behaviour, order, status string }{
		"text":      {`{"model":"m","input":"x","stream":true}`, "", "response.created response.in_progress response.output_item.added response.content_part.added response.output_text.delta response.output_text.done response.content_part.done response.output_item.done response.completed", "completed"},
		"cut":       {`{"model":"m","input":"x","stream":true,"max_output_tokens":16}`, "", "response.created response.in_progress response.output_item.added response.content_part.added response.output_text.delta response.output_text.done response.content_part.done response.output_item.done response.incomplete", "incomplete"},
		"reasoning": {`{"model":"m","input":"x","stream":true,"reasoning":{"summary":"auto"}}`, "completion=17", "response.created response.in_progress response.output_item.added response.reasoning_summary_part.added response.reasoning_summary_text.delta response.reasoning_summary_text.done response.reasoning_summary_part.done response.output_item.done response.output_item.added response.content_part.added response.output_text.delta response.output_text.done response.content_part.done response.output_item.done response.completed", "completed"},
		"function":  {`{"model":"m","input":"x","stream":true,"tools":[{"type":"web_search"},{"type":"function","name":"f","parameters":{}}]}`, "", "response.created response.in_progress response.output_item.added response.function_call_arguments.delta response.function_call_arguments.done response.output_item.done response.completed", "completed"},
		"novelty":   {`{"model":"m","input":"x","stream":true}`, "novelty,completion=1", "response.created response.in_progress response.novelty.delta response.output_item.added response.content_part.added response.output_text.delta response.output_text.done response.content_part.done response.output_item.done response.completed", "completed"},
	} {
		t.Run(name, func(t *testing.T) {
			var e fakemodel.Endpoint
			var got reply
			cost := billed(&e, func() {
				got = call(t, &e, "POST", responses, test.body, fakemodel.Header, test.behaviour)
			})
			all := events(t, got.text)
			if got := order(all); got != test.order {
				t.Errorf("got the events %s, want %s", got, test.order)
			}
			for i, e := range all {
				if number(e.fields, "sequence_number") != int64(i) || i < len(all)-1 && at(e.fields, "response", "usage") != nil {
					t.Errorf("event %d: got %s, want its number, and usage in the last event only", i, e.data)
				}
			}
			end := all[len(all)-1].fields
			if at(end, "response", "status") != test.status || number(end, "response", "usage", "total_tokens") != cost || cost <= 0 {
				t.Errorf("got the end %v, want status %s and a total of %d, as billed", end, test.status, cost)
			}
		})
	}
}

func TestAResponseThatIsNotStreamedHasTheSameOutputAndUsage(t *testing.T) {
	var e fakemodel.Endpoint
	plain := call(t, &e, "POST", responses, `{"model":"m","input":"x"}`)
	all := events(t, call(t, &e, "POST", responses, `{"model":"m","input":"x","stream":true}`).text)
	streamed := last(all, "response.completed").fields
	var text strings.Builder
	for _, e := range all {
		if e.name == "response.output_text.delta" {
			text.WriteString(at(e.fields, "delta").(string))
		}
	}
	if whole := at(plain.fields, "output", 0, "content", 0, "text"); whole != text.String() || at(streamed, "response", "output", 0, "content", 0, "text") != whole {
		t.Errorf("got the text %v, streamed %q, at the end %v; want the same", whole, text.String(), streamed)
	}
	for _, field := range []string{"input_tokens", "output_tokens", "total_tokens"} {
		if got, want := number(plain.fields, "usage", field), number(streamed, "response", "usage", field); got != want || got <= 0 {
			t.Errorf("%s: got %d, streamed %d, want the same", field, got, want)
		}
	}
}

func TestAResponseIsKeptUntilItIsDeletedUnlessStoreIsFalse(t *testing.T) {
	for _, body := range []string{`{"model":"m","input":"x"}`, `{"model":"m","input":"x","stream":true}`} {
		var e fakemodel.Endpoint
		made := call(t, &e, "POST", responses, body)
		id, _ := made.fields["id"].(string)
		if id == "" {
			id, _ = at(last(events(t, made.text), "response.completed").fields, "response", "id").(string)
		}
		path := responses + "/" + id
		got := call(t, &e, "GET", path, "")
		if got.fields["id"] != id || got.fields["status"] != "completed" || number(got.fields, "usage", "output_tokens") != 60 {
			t.Errorf("got %s, want the completed response %s", got.text, id)
		}
		if got := call(t, &e, "GET", path+"/input_items", ""); at(got.fields, "data", 0, "content", 0, "text") != "x" || got.fields["object"] != "list" {
			t.Errorf("got %s, want a list with the input", got.text)
		}
		if got := call(t, &e, "POST", path+"/cancel", ""); got.status != 400 {
			t.Errorf("cancel of a response that isn't in the background: got %d %s, want 400", got.status, got.text)
		}
		if got := call(t, &e, "DELETE", path, ""); got.fields["deleted"] != true {
			t.Errorf("got %s, want it deleted", got.text)
		}
		for _, way := range [][2]string{{"GET", path}, {"DELETE", path}, {"GET", path + "/input_items"}, {"POST", path + "/cancel"}} {
			if got := call(t, &e, way[0], way[1], ""); got.status != 404 || at(got.fields, "error", "type") != "invalid_request_error" {
				t.Errorf("%s of a deleted response: got %d %s, want 404", way[0], got.status, got.text)
			}
		}
	}
	var e fakemodel.Endpoint
	id := call(t, &e, "POST", responses, `{"model":"m","input":"x","store":false}`).fields["id"].(string)
	if got := call(t, &e, "GET", responses+"/"+id, ""); got.status != 404 {
		t.Errorf("with store false: got %d %s, want 404", got.status, got.text)
	}
}

func TestOnlyTheEndpointThatMadeAResponseContinuesIt(t *testing.T) {
	var e, other fakemodel.Endpoint
	first := call(t, &e, "POST", responses, `{"model":"m","input":"What time is it?"}`)
	next := `{"model":"m","input":"And now?","previous_response_id":"` + first.fields["id"].(string) + `"}`
	alone := call(t, &e, "POST", responses, `{"model":"m","input":"And now?"}`)
	got := call(t, &e, "POST", responses, next)
	if want := number(alone.fields, "usage", "input_tokens") + number(first.fields, "usage", "total_tokens"); number(got.fields, "usage", "input_tokens") != want {
		t.Errorf("got %s, want %d input tokens: the conversation's and its own", got.text, want)
	}
	if got := call(t, &e, "POST", responses+"/input_tokens", next); number(got.fields, "input_tokens") != number(call(t, &e, "POST", responses, next).fields, "usage", "input_tokens") {
		t.Errorf("got the count %s, want what the call is billed", got.text)
	}
	if got := call(t, &other, "POST", responses, next); got.status != 400 || at(got.fields, "error", "code") != "previous_response_not_found" {
		t.Errorf("at another endpoint: got %d %s, want previous_response_not_found", got.status, got.text)
	}
	thought := call(t, &e, "POST", responses, `{"model":"m","input":"x","store":false,"reasoning":{},"include":["reasoning.encrypted_content"]}`)
	sealed, _ := at(thought.fields, "output", 0, "encrypted_content").(string)
	again := `{"model":"m","input":[{"type":"reasoning","summary":[],"encrypted_content":"` + sealed + `"},{"role":"user","content":"x"}]}`
	if got := call(t, &e, "POST", responses, again); got.status != 200 || sealed == "" {
		t.Errorf("with its own reasoning: got %d %s, want 200", got.status, got.text)
	}
	if got := call(t, &other, "POST", responses, again); got.status != 400 || at(got.fields, "error", "code") != "invalid_encrypted_content" {
		t.Errorf("with another endpoint's reasoning: got %d %s, want invalid_encrypted_content", got.status, got.text)
	}
}

func TestABackgroundResponseHasUsageWhenItIsCompleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e fakemodel.Endpoint
		var path [2]string
		for i := range path {
			made := call(t, &e, "POST", responses, `{"model":"m","input":"x","background":true}`, fakemodel.Header, "first-token=1m")
			if made.fields["status"] != "queued" || made.fields["usage"] != nil {
				t.Errorf("got %s, want a queued response without usage", made.text)
			}
			path[i] = responses + "/" + made.fields["id"].(string)
		}
		if got := call(t, &e, "GET", path[0], ""); got.fields["status"] != "in_progress" || got.fields["usage"] != nil {
			t.Errorf("got %s, want it in progress", got.text)
		}
		if got := call(t, &e, "POST", path[1]+"/cancel", ""); got.fields["status"] != "cancelled" {
			t.Errorf("got %s, want it cancelled", got.text)
		}
		time.Sleep(time.Minute)
		if got := call(t, &e, "GET", path[0], ""); got.fields["status"] != "completed" || number(got.fields, "usage", "output_tokens") != 60 {
			t.Errorf("got %s, want it completed", got.text)
		}
	})
}

func TestBadResponseRequestsNameTheField(t *testing.T) {
	var e fakemodel.Endpoint
	for body, param := range map[string]string{
		`{"input":"x"}`: "model", `{"model":"m"}`: "input", `{"model":"m","input":"x","max_output_tokens":15}`: "max_output_tokens",
		`{"model":"m","input":"x","previous_response_id":"resp_0"}`: "previous_response_id",
	} {
		if got := call(t, &e, "POST", responses, body); got.status != 400 || at(got.fields, "error", "param") != param {
			t.Errorf("%s: got %d %s, want 400 for %s", body, got.status, got.text, param)
		}
	}
}

func TestAFailedResponseHasNoUsage(t *testing.T) {
	var e fakemodel.Endpoint
	all := events(t, call(t, &e, "POST", responses, `{"model":"m","input":"x","stream":true}`, fakemodel.Header, "fail-after=6").text)
	if end := all[len(all)-1]; len(all) != 7 || end.name != "response.failed" || at(end.fields, "response", "usage") != nil || at(end.fields, "response", "error", "code") != "server_error" {
		t.Errorf("got %d events and the end %s, want 7 and response.failed without usage", len(all), end.data)
	}
	if got := call(t, &e, "POST", responses, `{"model":"m","input":"x"}`, fakemodel.Header, "fail-after=1"); got.status != 200 || got.fields["status"] != "failed" {
		t.Errorf("got %d %s, want a failed response with 200", got.status, got.text)
	}
}
