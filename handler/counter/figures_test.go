//go:build figures

package counter_test

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// figuresFile is the file in which make bench-counters collects figures.
var figuresFile = os.Getenv("FIGURES")

// figure adds a figure to figuresFile.
func figure(t *testing.T, name string, value any) {
	t.Helper()
	line := fmt.Sprintf("figure %s %v\n", name, value)
	if f, ok := value.(float64); ok {
		line = fmt.Sprintf("figure %s %.4g\n", name, f)
	}
	file, err := os.OpenFile(figuresFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := file.WriteString(line)
	if err2 := file.Close(); err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
}

// TestFigures prints the table of make bench-counters. Each row is five minutes of a hot
// subscription in virtual time, with operations of 5-20 ms. It is a test because only a test
// has virtual time, and is built only with the tag figures.
func TestFigures(t *testing.T) {
	fmt.Printf("%-44s %9s %9s %7s %7s %6s %9s %9s\n", "500 calls/s of 100-400 tokens, 1.2 x limit", "ops/1,000", "conflicts", "share", "refused", "late", "p99 ms", "p99.9 ms")
	row := func(name string, m *measured) *measured {
		fmt.Printf("%-44s %9.1f %9d %7.4f %6.1f%% %6d %9.1f %9.1f\n", name, m.perThousand(), m.conflicts, m.share,
			100*float64(m.refused)/float64(m.calls), m.late+m.failed, ms(m.quantile(.99)), ms(m.quantile(.999)))
		return m
	}
	n16 := row("16 instances", hot(16, 5).run(t, 1))
	n64 := row("64 instances", hot(64, 5).run(t, 2))
	crash := hot(16, 5)
	crash.killEvery = time.Minute
	crashed := row("16 instances, one killed a minute", crash.run(t, 3))
	crash64 := hot(64, 5)
	crash64.killEvery = time.Minute
	row("64 instances, one killed a minute", crash64.run(t, 4))
	half := hot(16, 5)
	half.limit *= 2
	row("16 instances, limit twice the demand", half.run(t, 5))
	limits4 := hot(16, 5)
	limits4.limits = 4
	n16limits4 := row("16 instances, 4 limits on a call", limits4.run(t, 9))
	org := row("64 instances, an organization of 500", organization(64, 1).run(t, 1))
	n16naive := hot(16, 1).runNaive(t, 6)
	row("read, then If-Match, 16 instances", n16naive)
	floodLoad := flood(16, 2)
	flooded := floodLoad.run(t, 7)
	floodRate := flooded.perSecond(floodLoad)
	fmt.Printf("a flood of refused calls: %.2f operations/s an instance\n", floodRate)
	smallLimit := small(120).run(t, 8)
	fmt.Printf("300 tokens a minute, calls of 25, 16 instances: %.2f operations a call\n", smallLimit.perThousand()/1000)

	const seeds = 10_000
	over := runSchedules(t, seeds)
	fmt.Printf("%d schedules with faults: %d tokens over a limit\n", seeds, over)

	figure(t, "ops_per_1000_n16", n16.perThousand())
	figure(t, "ops_per_1000_n64", n64.perThousand())
	figure(t, "ops_per_1000_n16_4_limits", n16limits4.perThousand())
	figure(t, "admitted_share_4_limits", n16limits4.share)
	figure(t, "admitted_share_organization", org.share)
	figure(t, "naive_ops_per_1000_n16", n16naive.perThousand())
	figure(t, "late_or_failed_n16", n16.late+n16.failed)
	figure(t, "late_or_failed_n64", n64.late+n64.failed)
	figure(t, "admit_p99_over_op_n16", float64(n16.quantile(.99))/float64(meanOperation))
	figure(t, "admitted_share", n16.share)
	figure(t, "admitted_share_crash", crashed.share)
	figure(t, "refused_flood_ops_per_second", floodRate)
	figure(t, "small_limit_ops_per_call", smallLimit.perThousand()/1000)
	over += n16.over + n64.over + crashed.over + n16limits4.over + org.over + flooded.over + smallLimit.over
	figure(t, "over_limit_tokens", over)
	figure(t, "schedules", seeds)
	if over > 0 {
		t.Errorf("tokens charged over a limit: got %d, want 0", over)
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
