package manage

import (
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"

	"tollgate/handler/ledger"
	"tollgate/handler/subscription"
)

// A Report shows what the calls of a UTC month used and cost, by group, subscription and model.
type Report struct {
	// Deployment is the app's name; empty if it has none.
	Deployment string `json:"deployment,omitempty"`
	// Month is the month, such as 2026-11. Running is true if it isn't over.
	Month   string `json:"month"`
	Running bool   `json:"running,omitempty"`
	// MadeAt is when the report was made. WrittenAt is when the running day was written
	// last, which gateways do every five minutes; absent unless the month is running.
	MadeAt    time.Time `json:"madeAt"`
	WrittenAt time.Time `json:"writtenAt,omitzero"`
	// IncompleteBefore is set if the month begins before the first day that is still kept, which
	// it holds: usage of earlier days may have been deleted.
	IncompleteBefore time.Time `json:"incompleteBefore,omitzero"`
	// Currency is the code of the currency of all costs; absent: none is set.
	Currency string `json:"currency,omitempty"`
	// ShareOf is cost or, if nothing cost anything, tokens: what shares are shares of.
	ShareOf string `json:"shareOf"`
	Total   Part   `json:"total"`
	// Groups are the groups with usage, by path. A group includes the groups below it. The
	// last one, with an empty path, holds the subscriptions without a group.
	Groups []GroupPart `json:"groups"`
	// Models are the models with usage, by name.
	Models []ModelPart `json:"models"`
	// Items are the parts of each subscription and model, by group, subscription and model.
	// They add up to Total.
	Items []ReportItem `json:"items"`
}

// A Part is part of a month's usage.
type Part struct {
	Used ledger.Counts `json:"used"`
	// Share is the part's share of the whole, in percent, rounded to two digits after the point.
	Share string `json:"share"`
}

// A GroupPart is the usage of the subscriptions below a group.
type GroupPart struct {
	// Group is the group's path: the ids of the groups above it and its own, separated by
	// slashes; empty: no group.
	Group string `json:"group,omitempty"`
	Name  string `json:"name,omitempty"`
	Part
}

// A ModelPart is the usage of a model.
type ModelPart struct {
	Model string `json:"model"`
	Part
}

// A ReportItem is the usage of a model by a subscription.
type ReportItem struct {
	// Group is the path of the group that the subscription is in when the report is made.
	Group        string `json:"group,omitempty"`
	Subscription string `json:"subscription"`
	Name         string `json:"name,omitempty"`
	// Deleted is true if the subscription no longer exists: its group and name are unknown.
	Deleted bool   `json:"deleted,omitempty"`
	Model   string `json:"model"`
	Part
}

// readReport answers with the report of a month.
func (c *call) readReport() (*result, error) {
	now := time.Now().UTC()
	q := c.query()
	month := q.month("month", now)
	if err := q.err(); err != nil {
		return nil, err
	}
	used, err := c.api.config.Ledger.Days(c.Context(), month, ledger.Month.Next(month), ledger.Month)
	if err != nil {
		return nil, err
	}
	subscriptions, err := c.api.config.Store.Subscriptions(c.Context())
	if err != nil {
		return nil, err
	}
	groups, err := c.api.config.Store.Groups(c.Context())
	if err != nil {
		return nil, err
	}
	currency, err := c.currency()
	if err != nil {
		return nil, err
	}
	report := newReport(used.Items, subscriptions, groups)
	report.Currency, report.Deployment, report.MadeAt, report.WrittenAt = currency, c.api.config.Deployment, now, used.Written
	report.Month, report.Running = month.Format(monthLayout), ledger.Month.Next(month).After(now)
	if kept := now.Truncate(day).Add(-c.api.config.Retention.Truncate(day)); c.api.config.Retention > 0 && month.Before(kept) {
		report.IncompleteBefore = kept
	}
	if len(report.Items) > maxSpans {
		return nil, badRequest(fmt.Sprintf("The report would have more than %d rows. Use /usage/history with by=month, for a tier or group at a time.", maxSpans))
	}
	return &result{body: report}, nil
}

// monthLayout is the form of a month.
const monthLayout = "2006-01"

// month returns the beginning of a month that is required and not in the future.
func (q *query) month(name string, now time.Time) time.Time {
	text := q.param(name)
	month, err := time.Parse(monthLayout, text)
	switch {
	case err != nil:
		q.addFault(name, fmt.Sprintf("%q is not a month", text), "use one such as "+now.Format(monthLayout))
	case month.After(now):
		q.addFault(name, fmt.Sprintf("%q is in the future", text), "use "+now.Format(monthLayout)+" or an earlier one")
	}
	return month
}

// newReport adds up the usage of a month, by the present subscriptions and groups.
func newReport(used []ledger.Usage, subscriptions []subscription.Subscription, groups []subscription.Group) Report {
	known := make(map[string]subscription.Subscription, len(subscriptions))
	for _, s := range subscriptions {
		known[s.ID] = s
	}
	tree := treeOf(groups)
	var total ledger.Totals
	byGroup, byModel := make(totalsBy), make(totalsBy)
	report := Report{Items: make([]ReportItem, 0, len(used))}
	for _, u := range used {
		s, exists := known[u.Subscription]
		model, path := modelName(u.Model), tree.path(s.Group)
		total.Add(u.Totals)
		byModel.add(model, u.Totals)
		for i := range path {
			byGroup.add(strings.Join(path[:i+1], "/"), u.Totals)
		}
		if len(path) == 0 {
			byGroup.add("", u.Totals)
		}
		report.Items = append(report.Items, ReportItem{Group: strings.Join(path, "/"), Subscription: u.Subscription, Name: s.Name, Deleted: !exists, Model: model, Part: Part{Used: u.Counts()}})
	}
	slices.SortFunc(report.Items, func(a, b ReportItem) int {
		return cmp.Or(compareGroups(a.Group, b.Group), cmp.Compare(a.Subscription, b.Subscription), cmp.Compare(a.Model, b.Model))
	})
	share := sharesOf(total)
	report.ShareOf, report.Total = share.of, share.part(total)
	for i, item := range report.Items {
		report.Items[i].Part = share.part(item.Used.Totals())
	}
	report.Models, report.Groups = []ModelPart{}, []GroupPart{}
	for _, model := range slices.Sorted(maps.Keys(byModel)) {
		report.Models = append(report.Models, ModelPart{model, share.part(*byModel[model])})
	}
	for _, path := range slices.SortedFunc(maps.Keys(byGroup), compareGroups) {
		report.Groups = append(report.Groups, GroupPart{path, tree[path[strings.LastIndex(path, "/")+1:]].Name, share.part(*byGroup[path])})
	}
	return report
}

// compareGroups orders paths, a group before those below it and no group last.
func compareGroups(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == "":
		return 1
	case b == "":
		return -1
	}
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
}

// totalsBy holds sums by name.
type totalsBy map[string]*ledger.Totals

func (sums totalsBy) add(name string, t ledger.Totals) {
	if sums[name] == nil {
		sums[name] = new(ledger.Totals)
	}
	sums[name].Add(t)
}

// A groupTree holds the groups by id.
type groupTree map[string]subscription.Group

func treeOf(groups []subscription.Group) groupTree {
	tree := make(groupTree, len(groups))
	for _, g := range groups {
		tree[g.ID] = g
	}
	return tree
}

// path returns the ids of the groups above a group and its own, from the top. It stops if
// somebody made a cycle in the table.
func (tree groupTree) path(id string) (path []string) {
	for id != "" && !slices.Contains(path, id) {
		path = append(path, id)
		id = tree[id].Parent
	}
	slices.Reverse(path)
	return path
}

// shares computes parts of a whole.
type shares struct {
	of      string // what measure returns: cost or tokens
	measure func(ledger.Totals) int64
	whole   int64
}

// sharesOf returns shares of a total's cost or, if that is 0, of its tokens.
func sharesOf(total ledger.Totals) shares {
	if total.Cost > 0 {
		return shares{"cost", func(t ledger.Totals) int64 { return t.Cost }, total.Cost}
	}
	return shares{"tokens", ledger.Totals.Tokens, total.Tokens()}
}

// part returns a part with its share, rounded to the nearest hundredth of a percent. It uses
// big numbers because a product may have more than 64 bits.
func (s shares) part(t ledger.Totals) Part {
	percents := "0.00"
	if s.whole > 0 {
		n := new(big.Int).Mul(big.NewInt(s.measure(t)), big.NewInt(10_000))
		n.Add(n, big.NewInt(s.whole/2)).Div(n, big.NewInt(s.whole))
		percents = fmt.Sprintf("%d.%02d", n.Int64()/100, n.Int64()%100)
	}
	return Part{Used: t.Counts(), Share: percents}
}
