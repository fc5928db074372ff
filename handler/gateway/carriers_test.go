package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tollgate/handler/gateway"
	"tollgate/handler/limit"
	"tollgate/handler/local/fakemodel"
	"tollgate/handler/shape"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/upstream"
)

// A carrier is a body in which $ marks the place of the prompt.
type carrier struct{ name, fields string }

const hi = `"messages":[{"role":"user","content":"hi"}]`

// carriers are places in which an attacker could put prompts that were not counted.
var carriers = []carrier{
	{"plain content", `"messages":[{"role":"user","content":"$"}]`},
	{"functions", `"functions":[{"name":"f","description":"$"}],` + hi},
	{"response_format", `"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"description":"$"}}},` + hi},
	{"prediction", `"prediction":{"type":"content","content":"$"},` + hi},
	{"role function", `"messages":[{"role":"function","name":"f","content":"$"},{"role":"user","content":"hi"}]`},
	{"another role", `"messages":[{"role":"latest_reminder","content":"$"},{"role":"user","content":"hi"}]`},
	{"a past thought", `"messages":[{"role":"assistant","content":"$</think>ok"},{"role":"user","content":"hi"}]`},
	{"reasoning_content", `"messages":[{"role":"assistant","content":"ok","reasoning_content":"$"},{"role":"user","content":"hi"}]`},
	{"tool_calls beside content", `"messages":[{"role":"assistant","content":"ok","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"$"}}]},{"role":"user","content":"hi"}]`},
	{"function_call", `"messages":[{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"$"}},{"role":"user","content":"hi"}]`},
	{"refusal", `"messages":[{"role":"assistant","content":null,"refusal":"$"},{"role":"user","content":"hi"}]`},
	{"refusal part", `"messages":[{"role":"assistant","content":[{"type":"refusal","refusal":"$"}]},{"role":"user","content":"hi"}]`},
	{"file part", `"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,$"}},{"type":"text","text":"hi"}]}]`},
	{"input_audio part", `"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"format":"wav","data":"$"}},{"type":"text","text":"hi"}]}]`},
	{"thinking part", `"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"$"}]}]},{"role":"user","content":"hi"}]`},
	{"name", `"messages":[{"role":"user","name":"$","content":"hi"}]`},
	{"tool_choice", `"tool_choice":{"type":"function","function":{"name":"$"}},` + hi},
	{"tools", `"tools":[{"type":"function","function":{"name":"f","description":"$"}}],` + hi},
	{"documents", `"documents":[{"text":"$"}],` + hi},
	{"chat_template_kwargs", `"chat_template_kwargs":{"x":"$"},` + hi},
	{"data_sources", `"data_sources":[{"type":"azure_search","parameters":{"endpoint":"https://x","role_information":"$"}}],` + hi},
	{"web_search_options", `"web_search_options":{"search_context_size":"$"},` + hi},
	{"guided_json", `"guided_json":{"d":"$"},` + hi},
	{"stop", `"stop":["$"],` + hi},
	{"image", `"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"high"}},{"type":"text","text":"hi"}]}]`},
}

// An ending is a way in which a call ends.
type ending struct {
	name    string
	stream  bool
	leaves  string // the caller leaves when it has read this, or, if "begun", when upstream has the call
	behaves string // the behaviour of upstream
}

var endings = []ending{
	{"whole", false, "", ""},
	{"whole, without usage", false, "", "no-usage"},
	{"streamed", true, "", ""},
	{"streamed, without usage", true, "", "no-usage"},
	{"left before usage", true, "\n\n", "hold-after=4"},
	{"left before the first byte", true, "begun", "first-token=1h"},
	{"left unstreamed", false, "begun", "first-token=1h"},
	{"a stream that doesn't begin", true, "", "first-token=1h"},
	{"an answer that takes too long", false, "", "first-token=1h"},
	{"a stream that falls silent", true, "", "hold-after=4"},
	{"a stream that is cut", true, "", "cut-after=5"},
	{"an answer that is cut", false, "", "cut-after=1"},
}

// A biller is a gateway in front of an endpoint that bills independently of Tollgate's
// code.
type biller struct {
	*fixture
	endpoint *fakemodel.Endpoint
	log      logLines
	begun    chan struct{} // receives when the endpoint has a call
	behaves  atomic.Value  // string: the behaviour of the endpoint
	working  sync.RWMutex  // read-locked while the endpoint works on a call
}

// startBiller starts one with short timeouts, whose models are as fast as their caps
// allow.
func startBiller(t *testing.T, limits subscriptiontest.Limits, settle time.Duration, model string) *biller {
	t.Helper()
	s := &biller{endpoint: &fakemodel.Endpoint{}, log: make(logLines, 100), begun: make(chan struct{}, 1)}
	limits.TokenQuotaPeriod = limit.Yearly
	s.fixture = start(t, limits, nil, func(c *gateway.Config) {
		endpoint := upstream.Endpoint{Shape: shape.OpenAI, URL: serve(t, func(w http.ResponseWriter, r *http.Request) {
			s.working.RLock()
			defer s.working.RUnlock()
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			select {
			case s.begun <- struct{}{}:
			default:
			}
			r.Header.Set("Api-Key", fakemodel.Key)
			r.Header.Set(fakemodel.Header, "bill,"+s.behaves.Load().(string))
			s.endpoint.ServeHTTP(w, r)
		})}
		c.Upstream = newUpstream(t, upstream.Timeouts{Header: 300 * time.Millisecond, Whole: 300 * time.Millisecond, Idle: 300 * time.Millisecond}, endpoint)
		c.Models, c.Log = []string{model}, slog.New(slog.NewJSONHandler(s.log, nil))
		c.SettleTimeout, c.TokensPerSecond = settle, map[string]int64{"": 1_000_000}
	})
	return s
}

// end makes a call end in a way, and waits until the gateway and the endpoint have
// finished with it.
func (s *biller) end(t *testing.T, body string, e ending) (status int) {
	t.Helper()
	select {
	case <-s.begun:
	default:
	}
	s.behaves.Store(e.behaves)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	request := s.newRequest(ctx, t, http.MethodPost, demoPath, strings.NewReader(body))
	over := make(chan struct{})
	if e.leaves == "begun" {
		go func() {
			select {
			case <-s.begun:
				leave()
			case <-over:
			}
		}()
	}
	if response, err := http.DefaultClient.Do(request); err == nil {
		status = response.StatusCode
		var got []byte
		for buffer := make([]byte, 4096); e.leaves == "" || e.leaves == "begun" || !bytes.Contains(got, []byte(e.leaves)); {
			n, err := response.Body.Read(buffer)
			if got = append(got, buffer[:n]...); err != nil {
				break
			}
		}
		leave()
		response.Body.Close()
	}
	close(over)
	s.log.chat(t)
	s.working.Lock() // waits until the endpoint has finished
	defer s.working.Unlock()
	return status
}

// Wherever in the body a caller puts its prompt, whichever model it asks, and however the
// call ends, it is charged at least what the endpoint bills. Under reserve: full the bill
// never exceeds the limit.
func TestAPromptIsChargedWhereverItIsAndHoweverTheCallEnds(t *testing.T) {
	const quota = 400_000
	big := strings.Repeat("word12", 400)
	for m, model := range []string{"DeepSeek-R1", "DeepSeek-V3.2", "gpt-4o", "gpt-4o-mini", "o3", "chat-prod"} {
		for r, reserve := range []subscription.Reserve{subscription.ReserveFull, subscription.ReservePrompt, subscription.ReserveNone} {
			t.Run(fmt.Sprintf("%s, %s", model, reserve), func(t *testing.T) {
				t.Parallel()
				s := startBiller(t, subscriptiontest.Limits{TokenQuota: quota, Reserve: reserve, MaxCompletionTokens: 50}, 30*time.Millisecond, model)
				answered := 0
				for i, c := range carriers {
					// Each place meets each ending with some model and way to reserve.
					e := endings[(i*5+m*3+r*4)%len(endings)]
					stream := ""
					if e.stream {
						stream = `"stream":true,`
					}
					if model != "DeepSeek-R1" {
						e.behaves += ",hidden=40"
					}
					body := fmt.Sprintf(`{"model":%q,%s%s}`, model, stream, strings.ReplaceAll(c.fields, "$", big))
					before, spent := s.endpoint.Billed(), s.spent(t)
					if status := s.end(t, body, e); status != 400 {
						answered++
					}
					billed, charged := s.endpoint.Billed()-before, s.spent(t)-spent
					if billed > charged {
						t.Errorf("%s, %s: got %d tokens billed and %d charged, want at least the bill charged", c.name, e.name, billed, charged)
					}
					if strings.HasPrefix(e.leaves, "begun") && charged == 0 && s.endpoint.Billed() > before {
						t.Errorf("%s, %s: got 0 tokens charged for what the endpoint billed, want a charge", c.name, e.name)
					}
				}
				if billed := s.endpoint.Billed(); billed > quota {
					t.Errorf("got %d tokens billed, want at most the quota of %d", billed, quota)
				}
				if answered < 15 {
					t.Errorf("got %d calls answered, want at least 15", answered)
				}
			})
		}
	}
}
