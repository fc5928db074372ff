package operation

import "tollgate/handler/shape"

// Operation is a kind of call. Its functions are pure and safe for concurrent use.
type Operation struct {
	// Name is its name in messages, in the plural: "chat completions".
	Name string
	// ID is its name in telemetry, APIM's Operation ID.
	ID string
	// Routes are the paths at which callers reach it. Messages name the first.
	Routes []Route
	// Upstream maps each shape that serves it to its path below the endpoint's URL.
	// "{name}" stands for the endpoint's name for the model, and "{id}" for the id in
	// the caller's path.
	Upstream map[shape.Shape]string
	// Stored reports whether "{id}" in its paths is the id of a stored answer. If so,
	// only the subscription that made the answer may call, the call is sent without a
	// body to the endpoint that stores the answer, and Parse is nil.
	Stored bool
	// Free reports whether it costs no tokens. If so, nothing is reserved or charged, the
	// answer is passed on without being read, and Read and Follow are nil.
	Free bool
	// Fewer names the fields with which a caller asks for fewer completion tokens:
	// "max_tokens and n". It is empty if the model writes no completion.
	Fewer string
	// Passed are the names of the caller's headers and query parameters that are sent to
	// the endpoint. No others are.
	Passed Passed

	// Parse reads a call's body. It returns a *FieldError for a body that it refuses. The
	// request refers to the body, which must not change afterwards.
	Parse func(body []byte) (Request, error)
	// Read reads the body of an answer that isn't streamed, up to the first syntax error,
	// and passes the text in it to text unless that is nil.
	Read func(body []byte, text Text) Answer
	// Follow returns a Stream for one streamed answer; text may be nil. Follow is nil if
	// the operation never streams.
	Follow func(text Text) Stream
	// Problem writes one of the gateway's own errors as the operation's clients expect
	// it. The body has APIM's fields statusCode and message, too.
	Problem func(p Problem) []byte
}

// Route is a path at which callers reach an operation.
type Route struct {
	// Method is POST if it is empty.
	Method string
	// Path is below the gateway's base path. At most one of its segments is "{name}",
	// the model's name, or "{id}".
	Path string
	// Shape is the API that the path belongs to: APIM's API ID.
	Shape shape.Shape
}

// Verb returns the route's method.
func (r Route) Verb() string {
	if r.Method == "" {
		return "POST"
	}
	return r.Method
}

// Passed are names of headers, in canonical spelling, and of query parameters.
type Passed struct{ Headers, Query []string }
