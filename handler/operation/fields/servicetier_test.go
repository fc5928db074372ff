package fields_test

import (
	"testing"

	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
	"tollgate/handler/operation/fields"
)

func TestAServiceTierIsPriorityOrOtherUnlessItNeverCostsMore(t *testing.T) {
	for value, want := range map[string]string{
		`null`: "", `"auto"`: "", `"default"`: "", `"flex"`: "", `"de\u0066ault"`: "",
		`"priority"`: operation.ServiceTierPriority, `"pri\u006frity"`: operation.ServiceTierPriority,
		`"scale"`: operation.ServiceTierOther, `"Priority"`: operation.ServiceTierOther, `"DEFAULT"`: operation.ServiceTierOther, `" default"`: operation.ServiceTierOther,
		`""`: operation.ServiceTierOther, `"canary"`: operation.ServiceTierOther, `"default\u0000"`: operation.ServiceTierOther,
	} {
		s := jsonscan.New([]byte(value), jsonscan.Options{})
		if got, err := fields.ServiceTier(&s); got != want || err != nil || !s.AtEnd() {
			t.Errorf("%s: got %q and error %v, want %q, read to its end", value, got, err, want)
		}
	}
}
