package app

import (
	"errors"
	"io/fs"
	"log/slog"
	"math"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

func TestTheMemoryLimitFollowsTheContainer(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	failing := func(err error) memlimit.Provider { return func() (uint64, error) { return 0, err } }
	for name, c := range map[string]struct {
		cgroup memlimit.Provider
		want   int64
		logged string
	}{
		"a small container":        {memlimit.Limit(512 << 20), 256 << 20, "from=cgroup"},
		"an instance of 2 GiB":     {memlimit.Limit(2 << 30), 384 << 20, "from=default"},
		"no limit":                 {failing(memlimit.ErrNoLimit), 384 << 20, "from=default"},
		"an absurdly large limit":  {memlimit.Limit(math.MaxUint64), 384 << 20, "from=default"},
		"an unreadable limit":      {failing(fs.ErrPermission), 384 << 20, "cause=\"permission denied\""},
		"no cgroups on the system": {failing(memlimit.ErrCgroupsNotSupported), 384 << 20, "from=default"},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			limitMemory(env(nil), c.cgroup, slog.New(slog.NewTextHandler(&log, nil)))
			if got := debug.SetMemoryLimit(-1); got != c.want {
				t.Errorf("memory limit: got %d, want %d", got, c.want)
			}
			if !strings.Contains(log.String(), c.logged) {
				t.Errorf("logged: got %q, want %s in it", log.String(), c.logged)
			}
		})
	}
}

func TestGOMEMLIMITOverridesTheContainersLimit(t *testing.T) {
	const own = 300 << 20
	before := debug.SetMemoryLimit(own) // as the runtime does at the start
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	var log strings.Builder
	unread := func() (uint64, error) { return 0, errors.New("must not be read") }
	limitMemory(env(map[string]string{"GOMEMLIMIT": "300MiB"}), unread, slog.New(slog.NewTextHandler(&log, nil)))
	if got := debug.SetMemoryLimit(-1); got != own || !strings.Contains(log.String(), "bytes=314572800 from=GOMEMLIMIT") {
		t.Errorf("got limit %d, log %q; want %d, logged as from GOMEMLIMIT", got, log.String(), own)
	}
}

func TestTheBudgetFollowsTheMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	for _, c := range []struct{ memory, maxBody, want int64 }{
		{384 << 20, 4 << 20, 96 << 20},
		{2 << 30, 4 << 20, 512 << 20},
		{math.MaxInt64, 4 << 20, 96 << 20},
		{64 << 20, 4 << 20, 32 << 20},
		{64 << 20, 64 << 20, 128 << 20},
	} {
		debug.SetMemoryLimit(c.memory)
		if got := budget(c.maxBody); got != c.want {
			t.Errorf("budget(%d, %d): got %d, want %d", c.memory, c.maxBody, got, c.want)
		}
	}
}
