// Package upstream calls the model's endpoints and relays their answers.
//
// A [Client] tries the endpoints that serve a call's model, in order of priority, until
// one begins to answer. Among endpoints of the same priority each subscription has an
// order of its own, which the weights influence. The client pauses endpoints that fail or
// ask for a pause, and limits how many calls are retried. The [Response] is then read
// whole or relayed as a stream of events. The package doesn't interpret bodies; the
// gateway does.
//
// Start reading at [Client.Send].
package upstream
