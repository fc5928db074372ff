package apim

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"tollgate/handler/subscription"
)

// A Subscription is a converted subscription of API Management.
type Subscription struct {
	// ID is an id made from the name in API Management.
	ID string
	// From is the name in API Management.
	From      string
	Name      string
	Product   string // the last part of its scope
	Suspended bool
	// Expires is the subscription's expiry; zero: never.
	Expires time.Time
	// Lost lists what could not be converted.
	Lost []string
}

// exported is a subscription as the REST API returns it, or flattened as the Azure CLI
// prints it.
type exported struct {
	Name       string
	Properties *details
	details
}

// details holds the properties of an exported subscription.
type details struct {
	Scope          string
	DisplayName    string
	State          string
	ExpirationDate *time.Time
}

// ReadSubscriptions reads a subscription list: the REST API's answer, or an
// array of subscriptions.
// Source: https://learn.microsoft.com/rest/api/apimanagement/subscription/list
func ReadSubscriptions(text []byte) ([]Subscription, error) {
	text, err := withoutByteOrderMark(text)
	if err != nil {
		return nil, err
	}
	var list struct {
		Value    []exported
		NextLink string
	}
	err = json.Unmarshal(text, &list.Value)
	if err != nil {
		err = json.Unmarshal(text, &list)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("the subscriptions are not a JSON list, as az rest --url …/subscriptions?api-version=2024-05-01 prints it: %w", err)
	case list.Value == nil:
		return nil, errors.New("the subscriptions are not a list: there is no value in the file; is it an error message?")
	case list.NextLink != "":
		return nil, errors.New("the list is one page of several: export them all, and join their values into one array")
	}
	var all []Subscription
	taken := make(map[string]string)
	for i, e := range list.Value {
		if e.Name == "" {
			return nil, fmt.Errorf("[%d] has no name: is this a list of subscriptions?", i)
		}
		s := e.convert()
		if other, twice := taken[s.ID]; twice {
			return nil, fmt.Errorf("%q and %q would both be %s: rename one", other, s.From, s.ID)
		}
		taken[s.ID] = s.From
		all = append(all, s)
	}
	return all, nil
}

// convert returns the converted subscription.
func (e exported) convert() Subscription {
	d := e.details
	if e.Properties != nil {
		d = *e.Properties
	}
	s := Subscription{ID: id(e.Name), From: e.Name, Name: d.DisplayName, Suspended: !strings.EqualFold(d.State, "active") && d.State != ""}
	if scope := strings.TrimRight(d.Scope, "/"); strings.Contains(scope, "/products/") {
		s.Product = path.Base(scope)
	} else if scope != "" {
		s.Lost = append(s.Lost, "its scope "+path.Base(path.Dir(scope))+"/"+path.Base(scope)+": a subscription may call every model of its tier")
	}
	if s.Suspended && !strings.EqualFold(d.State, "suspended") {
		s.Lost = append(s.Lost, "its state "+d.State+": it is suspended here")
	}
	if len(s.Name) > 256 {
		s.Name = strings.ToValidUTF8(s.Name[:256], "")
		s.Lost = append(s.Lost, "the end of its name")
	}
	if d.ExpirationDate != nil {
		s.Expires = d.ExpirationDate.UTC()
	}
	return s
}

// idLength is the length limit of ids.
const idLength = 63

// id makes an id from a name: in lower case, with dashes for characters that ids can't have.
func id(name string) string {
	written := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '-'
	}, strings.ToLower(name))
	written = strings.TrimLeft(written, ".-_")
	if written == "" {
		written = "subscription"
	}
	return written[:min(len(written), idLength)]
}

// Validate returns an error if the policy can't become a tier with an id. If all limits are
// lost it can't: the tier would limit nothing, although the policy did.
func (p *Policy) Validate(tier string) error {
	if len(p.Rules.Limits) == 0 {
		return fmt.Errorf("none of its limits could be carried over: create the tier with 'tollgate tier set %s --create', and remove --policy", tier)
	}
	t := subscription.Tier{ID: tier, Rules: p.Rules}
	return t.Validate()
}
