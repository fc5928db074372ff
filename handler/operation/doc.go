// Package operation defines what an operation is: a kind of call, such as a chat
// completion or an embedding. An [Operation] is a value that holds its names, its paths,
// and pure functions that read its calls and answers. The gateway takes every call
// through the same steps and gets from the value whatever differs between operations, so
// it knows no operation by name.
//
// Each operation has a package below this one, and package all lists them. Those that
// cost nothing, such as counting a prompt's tokens, are operations too: see
// [Operation.Free].
//
// # How to add one
//
//  1. Make a package below this one with a variable of type [Operation]. Its functions
//     do no I/O. They read requests strictly, refuse what two readers could understand
//     differently, and change a body by splicing, so that every other byte passes
//     unchanged; they read answers leniently, since an answer costs money even if it
//     is malformed.
//  2. Answer three questions in [Request.Prompt]: which texts does the model read, which
//     other bytes may it read, and which fields make it read what isn't in the body? What
//     the prompt doesn't report, a caller gets for free.
//  3. Let [Stream] say which event ends a stream, and when its usage is complete: the
//     gateway settles the call before it passes on the event that ends the stream.
//  4. Add a line to all.Operations. Routes, upstream paths, telemetry and the table of
//     shapes in the docs follow from the value.
//  5. Add a line to the conformance suite (handler/gateway/conformance_test.go), which
//     runs the operation through everything that can happen to a call, and describe it
//     in docs/calls.md.
//
// Start reading at [Operation]; package chat is the longest example, package embedding
// the shortest.
package operation
