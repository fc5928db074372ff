// Package all lists the operations that Tollgate serves.
package all

import (
	"tollgate/handler/operation"
	"tollgate/handler/operation/chat"
)

// Operations are all operations. They must not be changed.
var Operations = []*operation.Operation{
	&chat.Operation,
}
