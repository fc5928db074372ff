package fields

import (
	"fmt"

	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
)

// Messages reads the value of messages, and returns their number, 0 for null. They must
// be an array of at most MaxMessages objects, whose keys are checked against keys at any
// depth.
func Messages(s *jsonscan.Scanner, keys jsonscan.Keys) (n int, err error) {
	if s.Literal("null") {
		return 0, nil
	}
	if s.Peek() != '[' {
		return 0, operation.Wrong("messages", "must be an array", "send an array of messages")
	}
	err = s.Array(func(i int) error {
		n = i + 1
		if n > MaxMessages {
			return operation.Wrong("messages", fmt.Sprintf("has more than %d messages", MaxMessages), "send fewer: join some, or leave out the oldest")
		}
		if s.Peek() != '{' {
			return operation.Wrong(fmt.Sprintf("messages[%d]", i), "must be an object", "send objects with role and content")
		}
		if err := s.SkipDistinct(keys); err != nil {
			return Explain(fmt.Sprintf("messages[%d]", i), err, s.Pos())
		}
		return nil
	})
	return n, err
}
