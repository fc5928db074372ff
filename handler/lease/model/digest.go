package model

import (
	"math"
	"reflect"
	"time"

	"tollgate/handler/lease"
)

// A digest is a hash of values, private fields included.
type digest uint64

// add mixes a number into the digest.
func (d *digest) add(n uint64) {
	x := (uint64(*d) ^ n) * 0x9e3779b97f4a7c15
	x ^= x >> 29
	*d = digest(x*0xbf58476d1ce4e5b9 ^ x>>32)
}

// text adds a string.
func (d *digest) text(s string) {
	d.add(uint64(len(s)))
	for i := range len(s) {
		d.add(uint64(s[i]))
	}
}

// ignored names, by type, the fields that don't distinguish states: nothing depends on
// the number of writes or reads, or on when exactly a write was built.
var ignored = map[string][]string{
	"Row": {"Rev"}, "Write": {"Built"}, "knownRow": {"version", "refreshes"}, "part": {"op"},
}

// skipped says, for each type, which of its fields are ignored.
var skipped = make(map[reflect.Type][]bool)

func init() { collect(reflect.TypeFor[state]()) }

// collect fills skipped for a type and the types of its fields and elements.
func collect(of reflect.Type) {
	switch of.Kind() {
	case reflect.Pointer, reflect.Slice:
		collect(of.Elem())
	case reflect.Struct:
		if _, done := skipped[of]; done || of == timeType || of == reflect.TypeFor[World]() {
			return
		}
		skip := make([]bool, of.NumField())
		skipped[of] = skip
		for _, name := range ignored[of.Name()] {
			field, ok := of.FieldByName(name)
			if !ok {
				panic("no field " + name + " in " + of.String())
			}
			skip[field.Index[0]] = true
		}
		for i := range of.NumField() {
			collect(of.Field(i).Type)
		}
	}
}

var timeType = reflect.TypeFor[time.Time]()

// value adds a value of any kind that a state has.
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
	case reflect.Float64:
		d.add(math.Float64bits(v.Float()))
	case reflect.String:
		d.text(v.String())
	case reflect.Slice:
		d.add(uint64(v.Len()))
		for i := range v.Len() {
			d.value(v.Index(i))
		}
	case reflect.Map:
		var sum digest
		for all := v.MapRange(); all.Next(); {
			var one digest
			one.value(all.Key())
			one.value(all.Value())
			sum += one
		}
		d.add(uint64(sum))
	case reflect.Pointer:
		if v.IsNil() {
			d.add(3)
			return
		}
		d.value(v.Elem())
	case reflect.Struct:
		d.fields(v)
	default:
		panic("can't digest a " + v.Kind().String())
	}
}

// fields adds the fields of a struct that are not ignored.
func (d *digest) fields(v reflect.Value) {
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
}

// key returns a hash of a state that is the same for states whose difference can't matter.
func (s *state) key() uint64 {
	var d digest
	for c := range s.rows {
		d.value(reflect.ValueOf(&s.rows[c].row).Elem())
		d.value(reflect.ValueOf(s.rows[c].exists))
		d.value(reflect.ValueOf(&s.books[c]).Elem())
	}
	for i := range s.instances {
		n := &s.instances[i]
		for c := range n.parts {
			p, etag := &n.parts[c], s.rows[c].etag()
			d.value(reflect.ValueOf(p).Elem())
			_, known := viewOf(&p.agent)
			d.value(reflect.ValueOf(known == etag))
			d.operation(p.op, etag)
		}
		d.value(reflect.ValueOf([]int{n.at, int(n.clockError), int(n.uptime), n.tier, n.ids, int(n.stage)}))
		d.value(reflect.ValueOf(n.aged))
	}
	for i := range s.messages {
		m := &s.messages[i]
		d.value(reflect.ValueOf(m.write))
		d.value(reflect.ValueOf([]int{m.counter, m.instance, int(m.orphan)}))
	}
	for i := range s.calls {
		d.value(reflect.ValueOf(&s.calls[i]).Elem())
	}
	d.value(reflect.ValueOf(&s.happened).Elem())
	d.value(reflect.ValueOf(&s.outage).Elem())
	d.value(reflect.ValueOf(s.down))
	d.add(uint64(s.tries))
	return uint64(d)
}

// operation adds an operation under way. It leaves out the write, which is the agent's
// write in flight.
func (d *digest) operation(op *operation, etag lease.Version) {
	if op == nil {
		d.add(4)
		return
	}
	d.value(reflect.ValueOf([]bool{op.done, op.upon == etag, op.made == "", op.made == etag}))
	d.add(uint64(op.action))
	if op.done && op.action == lease.Read {
		d.value(reflect.ValueOf(&op.found.Row).Elem())
		d.value(reflect.ValueOf(op.found.Version == etag))
		d.text(op.found.Epoch)
	}
}
