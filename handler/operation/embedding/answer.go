package embedding

import (
	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
	"tollgate/handler/operation/lax"
)

// read is operation.Operation's Read. A body is an answer if it holds embeddings or an
// error. No text is passed on, since the model writes none.
func read(body []byte, _ operation.Text) operation.Answer {
	s := jsonscan.New(body, lax.Options)
	var a operation.Answer
	err := s.Object(func(key []byte) (err error) {
		switch string(key) {
		case "data":
			if s.Peek() != '[' {
				return s.Skip()
			}
			return s.Array(func(int) error {
				a.Written = true
				return s.Skip()
			})
		case "usage":
			a.Usage, a.Report, err = lax.PromptUsage(&s)
			return err
		case "error":
			a.Failed, err = lax.NonEmpty(&s)
			return err
		}
		return s.Skip()
	})
	a.Unread = err != nil
	a.Failed = a.Failed && !a.Written
	a.IsAnswer = a.Written || a.Failed
	return a
}
