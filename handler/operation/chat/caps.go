package chat

import "tollgate/handler/operation"

// Caps implements operation.Request. If the caller set both caps, a server may obey
// either, so that only the larger is sure to be obeyed.
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

// capToSet returns the cap that an edit sets, in tokens, 0 for none. newer reports whether
// it is set in max_completion_tokens rather than max_tokens: in the one field that the
// model is sure to obey.
func (r *Request) capToSet(edit operation.Edit) (most int64, newer bool) {
	most, newer = edit.Cap, edit.Rules.NewerCap && !edit.Rules.DropsExtra
	largest := r.Caps(edit.Rules).Largest
	switch {
	case largest == 0:
		return most, newer
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
