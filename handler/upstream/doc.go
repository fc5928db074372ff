// Package upstream calls the model's endpoints and relays their answers.
//
// A [Client] tries the endpoints that serve a call's model in order of priority
// and, within one, in an order of the caller's own that follows the weights, until
// one begins to answer. It pauses those that fail or ask to be
// left alone, and bounds how often calls are retried. The [Response] is then read
// whole or relayed as a stream of events. The package doesn't interpret bodies;
// the gateway does.
//
// Start reading at [Client.Send].
package upstream
