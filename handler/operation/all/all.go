// Package all lists the operations that Tollgate serves.
package all

import (
	"tollgate/handler/operation"
	"tollgate/handler/operation/chat"
	"tollgate/handler/operation/completion"
	"tollgate/handler/operation/embedding"
	"tollgate/handler/operation/message"
)

// Operations are all operations. They must not be changed.
var Operations = []*operation.Operation{
	&chat.Operation,
	&embedding.Operation,
	&completion.Operation,
	&message.Operation,
	&message.Count,
}
