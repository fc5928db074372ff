package model

import (
	"reflect"
	"time"

	"tollgate/handler/limit"
)

// A holding is read from a holder's private fields, so that the books are
// checked against what it really holds, and limit needs no code for the
// model.
type holding struct {
	id, epoch      string
	window, expiry int64
	left, consumed int64
	refunds        int64
	excess         int64
	requests       int64
}

// told holds the amounts that a write reports.
type told struct {
	consumed, given, refunds, excess, requests int64
	undone                                     int64 // of the excess, taken back since
}

// open returns the tokens reserved beyond what the counter knows, less
// refunds.
func (t told) open() int64 { return t.consumed - t.refunds }

var (
	holderFields = fields(reflect.TypeFor[limit.Holder](), "id", "window", "expiry", "left", "consumed", "pending", "epoch")
	bodyFields   = fields(reflect.TypeFor[limit.Write](), "consumed", "returned", "report", "undone")
	reportFields = fields(holderType("pending"), "refunds", "excess", "happened")
	refundTokens = fields(refundType(), "tokens")
	requestField = fields(reflect.TypeFor[limit.Happened](), "Requests")
)

func holderType(name string) reflect.Type {
	field, _ := reflect.TypeFor[limit.Holder]().FieldByName(name)
	return field.Type
}

func refundType() reflect.Type {
	field, _ := holderType("pending").FieldByName("refunds")
	return field.Type.Elem()
}

// fields returns the indexes of named fields. It panics if one was renamed.
func fields(of reflect.Type, names ...string) []int {
	places := make([]int, len(names))
	for i, name := range names {
		field, ok := of.FieldByName(name)
		if !ok {
			panic("no field " + name + " in " + of.String())
		}
		places[i] = field.Index[0]
	}
	return places
}

func look(h *limit.Holder) holding {
	v := reflect.ValueOf(h).Elem()
	at := func(i int) reflect.Value { return v.Field(holderFields[i]) }
	held := holding{id: at(0).String(), window: at(1).Int(), expiry: at(2).Int(), left: at(3).Int(), consumed: at(4).Int(), epoch: at(6).String()}
	held.refunds, held.excess, held.requests = reported(at(5))
	return held
}

func reported(report reflect.Value) (refunds, excess, requests int64) {
	all := report.Field(reportFields[0])
	for i := range all.Len() {
		refunds += all.Index(i).Field(refundTokens[0]).Int()
	}
	return refunds, report.Field(reportFields[1]).Int(), report.Field(reportFields[2]).Field(requestField[0]).Int()
}

// tell returns what a write reports.
func tell(b *limit.Write) told {
	v := reflect.ValueOf(b).Elem()
	t := told{consumed: v.Field(bodyFields[0]).Int(), given: v.Field(bodyFields[1]).Int(), undone: v.Field(bodyFields[3]).Int()}
	t.refunds, t.excess, t.requests = reported(v.Field(bodyFields[2]))
	return t
}

// A digest is a hash of values, private fields included.
type digest uint64

func (d *digest) add(n uint64) {
	x := (uint64(*d) ^ n) * 0x9e3779b97f4a7c15
	x ^= x >> 29
	*d = digest(x*0xbf58476d1ce4e5b9 ^ x>>32)
}

func (d *digest) text(s string) {
	d.add(uint64(len(s)))
	for i := range len(s) {
		d.add(uint64(s[i]))
	}
}

// ignored names fields that don't distinguish states: nothing depends on the
// number of writes, or on when exactly one was built.
var ignored = map[reflect.Type][]string{
	reflect.TypeFor[limit.State](): {"Rev"},
	reflect.TypeFor[limit.Write](): {"Built", "Closed"},
}

var skipped = make(map[reflect.Type][]bool)

func init() {
	for _, of := range []reflect.Type{reflect.TypeFor[limit.State](), reflect.TypeFor[limit.Write]()} {
		skip := make([]bool, of.NumField())
		for _, place := range fields(of, ignored[of]...) {
			skip[place] = true
		}
		skipped[of] = skip
	}
}

var timeType = reflect.TypeFor[time.Time]()

func (d *digest) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int64:
		d.add(uint64(v.Int()))
	case reflect.Uint64:
		d.add(v.Uint())
	case reflect.Bool:
		if v.Bool() {
			d.add(1)
		} else {
			d.add(2)
		}
	case reflect.String:
		d.text(v.String())
	case reflect.Slice:
		d.add(uint64(v.Len()))
		for i := range v.Len() {
			d.value(v.Index(i))
		}
	case reflect.Pointer:
		if v.IsNil() {
			d.add(3)
			return
		}
		d.value(v.Elem())
	case reflect.Struct:
		if v.Type() == timeType { // its location is UTC throughout
			d.value(v.Field(0))
			d.value(v.Field(1))
			return
		}
		skip := skipped[v.Type()]
		for i := range v.NumField() {
			if skip == nil || !skip[i] {
				d.value(v.Field(i))
			}
		}
	default:
		panic("can't digest a " + v.Kind().String())
	}
}

// key returns the same number for states whose difference can't matter.
func (s *state) key() uint64 {
	var d digest
	d.value(reflect.ValueOf(&s.stored).Elem())
	etag := s.etag()
	d.value(reflect.ValueOf([]int{min(etag, 0), s.late, s.answers, s.crashes, s.reclaims, s.purges, s.deletes, s.misled}))
	d.value(reflect.ValueOf(s.history))
	for i := range s.instances {
		p := &s.instances[i]
		d.value(reflect.ValueOf(&p.holder).Elem())
		d.add(uint64(p.astray))
		d.add(uint64(p.ticks)<<48 | uint64(p.tier)<<32 | uint64(p.ids)<<16 | uint64(p.builds))
		if p.write != nil {
			d.sent(p.write, etag)
		}
		d.value(reflect.ValueOf(p.aged))
		d.value(reflect.ValueOf(p.tells))
		d.value(reflect.ValueOf(p.raised))
		if s.world.Stale && p.known != nil {
			d.value(reflect.ValueOf(p.known))
			d.value(reflect.ValueOf(p.at == etag))
		}
		d.value(reflect.ValueOf(p.shadow))
	}
	for i := range s.orphans {
		d.value(reflect.ValueOf(s.orphans[i].body))
		d.sent(&s.orphans[i].sent, etag)
		d.add(uint64(s.orphans[i].open))
	}
	for i := range s.calls {
		d.value(reflect.ValueOf(&s.calls[i]).Elem())
	}
	d.value(reflect.ValueOf(&s.books).Elem())
	return uint64(d)
}

func (d *digest) sent(w *sent, etag int) {
	valid := w.version == etag
	d.value(reflect.ValueOf([]bool{valid, w.applied, w.told}))
	if valid {
		d.add(uint64(w.copies))
	}
	d.value(reflect.ValueOf(w.calls))
	d.value(reflect.ValueOf(w.raised))
	d.add(uint64(w.excess))
}
