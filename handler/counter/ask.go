package counter

import (
	"context"
	"fmt"

	"tollgate/handler/lease"
)

// ask passes a call or a question for the standing to the agent, and waits for the answer.
// event passes it, and returns the answer if the agent has it at once.
func (r *replica) ask(ctx context.Context, event func(at lease.Moment, id int64) (answer lease.Answer, decided bool)) (lease.Answer, error) {
	id := r.counter.lastID.Add(1)
	var answer lease.Answer
	var waiting *caller // nil: the answer came at once
	r.do(func(at lease.Moment) {
		var decided bool
		if answer, decided = event(at, id); !decided {
			waiting = &caller{done: make(chan struct{})}
			r.waiters[id] = waiting
		}
	})
	if waiting == nil {
		return answer, errorOf(answer, nil)
	}
	select {
	case <-waiting.done:
		return waiting.answer, errorOf(waiting.answer, waiting.cause)
	case <-ctx.Done():
		r.do(func(at lease.Moment) { r.leave(at, id, waiting) })
		return lease.Answer{}, ctx.Err()
	}
}

// A caller waits for one answer.
type caller struct {
	answer lease.Answer
	cause  error
	done   chan struct{} // closed when answer and cause are set
}

func (w *caller) receive(answer lease.Answer, cause error) {
	w.answer, w.cause = answer, cause
	close(w.done)
}

// leave takes a caller out of the queue, or gives back what it was granted meanwhile.
func (r *replica) leave(at lease.Moment, id int64, w *caller) {
	if r.agent.Leave(at, id) {
		delete(r.waiters, id)
	} else if w.answer.Held {
		r.agent.Cancel(at, w.answer.Hold)
	}
}

// errorOf returns ErrUnavailable, with its cause, for an answer that decides nothing.
func errorOf(answer lease.Answer, cause error) error {
	switch {
	case !answer.Down:
		return nil
	case cause == nil:
		return ErrUnavailable
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, cause)
}
