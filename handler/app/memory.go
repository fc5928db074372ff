package app

import (
	"errors"
	"log/slog"
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"tollgate/handler/upstream"
)

const (
	// mostMemory is the memory limit in bytes where nothing sets a lower one: with
	// what the runtime doesn't count, the process then stays below 512 MB.
	mostMemory = 384 << 20
	// containerShare is one part in so many of its container that the process may
	// take: the Functions host runs in the same one.
	containerShare = 2
	// budgetShare is one part in so many of the memory limit that request bodies and
	// answers under way may hold. The rest is for all else, and for what the garbage
	// collector has not freed yet.
	budgetShare = 4
)

// limitMemory sets the runtime's memory limit: a share of the container's memory,
// unless GOMEMLIMIT sets it.
func limitMemory(getenv func(string) string, cgroup memlimit.Provider, log *slog.Logger) {
	if getenv("GOMEMLIMIT") != "" {
		log.Info("memory limit", "bytes", debug.SetMemoryLimit(-1), "from", "GOMEMLIMIT")
		return
	}
	limit, from := int64(mostMemory), "default"
	contained, err := cgroup()
	switch {
	case err == nil && contained/containerShare < mostMemory:
		limit, from = int64(contained/containerShare), "cgroup"
	case err != nil && !errors.Is(err, memlimit.ErrNoLimit):
		log.Info("the container's memory can't be read", "cause", err.Error())
	}
	debug.SetMemoryLimit(limit)
	log.Info("memory limit", "bytes", limit, "from", from)
}

// budget is how many bytes request bodies and answers under way may hold within
// the runtime's memory limit. Of the largest there may be at least two.
func budget(maxBody int64) int64 {
	memory := debug.SetMemoryLimit(-1)
	if memory == math.MaxInt64 { // GOMEMLIMIT=off
		memory = mostMemory
	}
	return max(memory/budgetShare, 2*max(maxBody, upstream.MaxBody))
}
