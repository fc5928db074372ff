package lease_test

import (
	"testing"
	"time"

	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// cutTo returns the limits of day, cut to perMinute tokens a minute.
func cutTo(perMinute int64) limit.Limits {
	l := day
	l.PerMinute, l.Version = perMinute, day.Version+1
	return l
}

func TestARowOfACutTierWhoseLeaseComesBackIsPlausible(t *testing.T) {
	var h lease.Holder
	s := write(t, &h, lease.New(day, noon, "epoch"), 300, noon)
	body, err := h.Commit(h.Draft(s, cutTo(100), noon), 0, noon, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s = body.Row; !s.Plausible(noon) || s.Credit != 100 {
		t.Errorf("cut to 100 a minute: got a credit of %d, plausible %t; want 100 and plausible", s.Credit, s.Plausible(noon))
	}
}

func TestACutTierKeepsWhatIsLeased(t *testing.T) {
	var h lease.Holder
	s := write(t, &h, lease.New(day, noon, "epoch"), 200, noon)
	body, err := h.Commit(h.Draft(s, cutTo(100), noon), 200, noon.Add(time.Minute), nil)
	if err != nil {
		t.Fatal(err)
	}
	if s = body.Row; !s.Plausible(noon) || s.Credit != 200 || h.Left(noon) != 200 {
		t.Errorf("cut to 100 with 200 leased: got a credit of %d, %d left of the lease, plausible %t; want 200, 200 and plausible", s.Credit, h.Left(noon), s.Plausible(noon))
	}
}

func TestAWriteThatLeavesALeaseIsNotTheLast(t *testing.T) {
	var h lease.Holder
	body, err := h.Commit(h.Draft(lease.New(day, noon, "epoch"), day, noon), 25, lease.Expiry(1, noon), func() string { return "slot" })
	if err != nil {
		t.Fatal(err)
	}
	body.MakeLast()
	h.Applied()
	take(t, &h, 25, noon)
}

func TestTheLastWriteLeavesATombstone(t *testing.T) {
	var h lease.Holder
	s := write(t, &h, lease.New(day, noon, "epoch"), 25, noon)
	body, err := h.Commit(h.Draft(s, day, noon), 0, noon, nil)
	if err != nil {
		t.Fatal(err)
	}
	body.MakeLast()
	if slot := body.Row.Slots[0]; !slot.Gone || slot.Seq != 2 || slot.Leased != 0 {
		t.Errorf("the slot after the last write: got %+v, want it gone, Seq 2, nothing leased", slot)
	}
}
