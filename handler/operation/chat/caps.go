package chat

import "tollgate/handler/operation"

// Caps implements operation.Request. Of two caps it can't be told which one a server
// obeys, so both say the larger.
func (r *Request) Caps(rules operation.CapRules) operation.Caps {
	newer := r.newerCap(rules)
	caps := operation.Caps{Largest: max(tokensOf(r.MaxTokens), tokensOf(newer))}
	if r.MaxTokens != nil && newer != nil {
		caps.Obeyed = caps.Largest
	} else {
		caps.Obeyed = tokensOf(r.obeyed(rules))
	}
	return caps
}

// newerCap returns max_completion_tokens, nil if there is none or the endpoint drops it.
func (r *Request) newerCap(rules operation.CapRules) *int64 {
	if rules.DropsExtra {
		return nil
	}
	return r.MaxCompletionTokens
}

// obeyed returns the caller's cap in the one field that the model is sure to obey, nil
// if there is none.
func (r *Request) obeyed(rules operation.CapRules) *int64 {
	newer := r.newerCap(rules)
	if rules.NewerCap && !rules.DropsExtra || rules.EitherCap && newer != nil {
		return newer
	}
	return r.MaxTokens
}

// capToPut returns the cap that an edit puts, in tokens, 0 for none, and whether it goes
// into max_completion_tokens: into the one field that the model is sure to obey.
func (r *Request) capToPut(edit operation.Edit) (put int64, newer bool) {
	put, newer = edit.Cap, edit.Rules.NewerCap && !edit.Rules.DropsExtra
	largest := r.Caps(edit.Rules).Largest
	switch {
	case largest == 0:
		return put, newer
	case !edit.Enforce:
		return 0, false
	}
	if own := r.obeyed(edit.Rules); own != nil {
		return *own, newer || edit.Rules.EitherCap && r.newerCap(edit.Rules) != nil
	}
	return largest, newer
}

func tokensOf(most *int64) int64 {
	if most == nil {
		return 0
	}
	return *most
}
