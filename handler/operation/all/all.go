// Package all lists the operations that Tollgate serves.
package all

import (
	"tollgate/handler/operation"
	"tollgate/handler/operation/chat"
	"tollgate/handler/operation/completion"
	"tollgate/handler/operation/embedding"
	"tollgate/handler/operation/message"
	"tollgate/handler/operation/response"
)

// Operations are all operations. They must not be changed.
var Operations = []*operation.Operation{
	&chat.Operation,
	&response.Operation,
	&response.Compact,
	&response.Count,
	&response.Get,
	&response.Delete,
	&response.Cancel,
	&response.ListInput,
	&embedding.Operation,
	&completion.Operation,
	&message.Operation,
	&message.Count,
}
