// Package chat reads chat completion calls as upstream will read them: the
// request's envelope, an answer's usage, and the events of a stream.
//
// It is pure. It never decodes or re-encodes a body as a whole: it walks the
// bytes once, remembers where the few fields that matter lie, and changes a
// request by splicing, so that every byte it doesn't understand passes as it
// came.
package chat
