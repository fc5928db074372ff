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
	// maxMemory is the memory limit in bytes unless a lower one applies: together
	// with what the runtime doesn't count, the process stays below 512 MB.
	maxMemory = 384 << 20
	// containerShare divides the container's memory: the process takes half, since
	// the Functions host runs in the same container.
	containerShare = 2
	// budgetShare divides the memory limit: request bodies and answers in flight may
	// hold a quarter. The rest is for everything else, and for garbage that the
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
	limit, from := int64(maxMemory), "default"
	contained, err := cgroup()
	switch {
	case err == nil && contained/containerShare < maxMemory:
		limit, from = int64(contained/containerShare), "cgroup"
	case err != nil && !errors.Is(err, memlimit.ErrNoLimit):
		log.Info("cannot read the container's memory limit", "cause", err.Error())
	}
	debug.SetMemoryLimit(limit)
	log.Info("memory limit", "bytes", limit, "from", from)
}

// budget returns the bytes that request bodies and answers in flight may hold within
// the runtime's memory limit: always enough for two of the largest.
func budget(maxBody int64) int64 {
	memory := debug.SetMemoryLimit(-1)
	if memory == math.MaxInt64 { // GOMEMLIMIT=off
		memory = maxMemory
	}
	return max(memory/budgetShare, 2*max(maxBody, upstream.MaxBody))
}
