package fields_test

import (
	"errors"
	"slices"
	"testing"

	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
	"tollgate/handler/operation/fields"
)

func TestAServiceTierIsDearerUnlessItNeverCostsMore(t *testing.T) {
	priority := []operation.DearerField{{Name: "service_tier", Priority: true}}
	other := []operation.DearerField{{Name: "service_tier"}}
	for value, want := range map[string][]operation.DearerField{
		`null`: nil, `"auto"`: nil, `"default"`: nil, `"flex"`: nil, `"de\u0066ault"`: nil,
		`"priority"`: priority, `"pri\u006frity"`: priority,
		`"scale"`: other, `"Priority"`: other, `"DEFAULT"`: other, `" default"`: other,
		`""`: other, `"canary"`: other, `"default\u0000"`: other,
	} {
		s := jsonscan.New([]byte(value), jsonscan.Options{})
		if got, err := fields.AppendServiceTier(nil, &s); !slices.Equal(got, want) || err != nil || !s.AtEnd() {
			t.Errorf("%s: got %+v and error %v, want %+v, read to its end", value, got, err, want)
		}
	}
}

func TestADearerFieldFollowsThoseBeforeItAndIsAString(t *testing.T) {
	before := []operation.DearerField{{Name: "inference_geo"}}
	for value, want := range map[string][]operation.DearerField{
		`"standard"`: before, `null`: before, `"fast"`: {{Name: "inference_geo"}, {Name: "speed"}}, `"priority"`: {{Name: "inference_geo"}, {Name: "speed"}},
	} {
		s := jsonscan.New([]byte(value), jsonscan.Options{})
		if got, err := fields.AppendDearer(before, &s, "speed", "standard"); !slices.Equal(got, want) || err != nil || !s.AtEnd() {
			t.Errorf("%s: got %+v and error %v, want %+v, read to its end", value, got, err, want)
		}
	}
	for _, value := range []string{`1`, `true`, `["fast"]`, `{}`} {
		s := jsonscan.New([]byte(value), jsonscan.Options{})
		_, err := fields.AppendDearer(before, &s, "speed", "standard")
		if wrong, ok := errors.AsType[*operation.FieldError](err); !ok || wrong.Field != "speed" || wrong.Fix != `leave it out, or send "standard"` {
			t.Errorf("%s: got error %v, want a FieldError for speed with a fix", value, err)
		}
	}
}
