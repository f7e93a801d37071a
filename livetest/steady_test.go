package livetest

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// What a program measures of itself and what is recorded of it are the same as
// long as both have the CPUs. Where others took more than disturbed of one CPU
// during a comparison that failed, it is made again, at most tries times. On a
// machine that has nothing else to do, the first failure counts.
const (
	tries     = 4
	disturbed = 0.05
)

// steady makes a test of a comparison with what programs measured.
func steady(body func(testing.TB)) func(*testing.T) {
	return func(t *testing.T) {
		for n := 1; ; n++ {
			a := &attempt{TB: t}
			from := machineLoad()
			a.run(body)
			others := from.others()
			switch {
			case len(a.wrong) == 0:
				return
			case n == tries || others < disturbed:
				for _, text := range a.wrong {
					t.Error(text)
				}
				t.Fatalf("attempt %d; others took %.0f %% of a CPU meanwhile", n, 100*others)
			}
			t.Logf("again, others took %.0f %% of a CPU: %q", 100*others, a.wrong)
		}
	}
}

// attempt keeps what was wrong, so that it need not count.
type attempt struct {
	testing.TB
	wrong []string
}

// run lets the body stop itself without stopping the test.
func (a *attempt) run(body func(testing.TB)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		body(a)
	}()
	<-done
}

func (a *attempt) Error(args ...any)                 { a.wrong = append(a.wrong, fmt.Sprint(args...)) }
func (a *attempt) Errorf(format string, args ...any) { a.Error(fmt.Sprintf(format, args...)) }
func (a *attempt) Fail()                             { a.Error("failed") }
func (a *attempt) Failed() bool                      { return len(a.wrong) > 0 }

func (a *attempt) FailNow() {
	a.Fail()
	runtime.Goexit()
}

func (a *attempt) Fatal(args ...any) {
	a.Error(args...)
	runtime.Goexit()
}

func (a *attempt) Fatalf(format string, args ...any) {
	a.Errorf(format, args...)
	runtime.Goexit()
}

// load is the CPU time that was used so far: by all, hypervisor included, and by
// this test with the processes that it waited for.
type load struct {
	at        time.Time
	all, ours time.Duration
}

func machineLoad() load {
	l := load{at: time.Now()}
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			l.ours += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	// proc_stat(5): cpu user nice system idle iowait irq softirq steal, in hundredths of a second.
	stat, _ := os.ReadFile("/proc/stat")
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	for i, field := range bytes.Fields(line) {
		if ticks, err := strconv.ParseInt(string(field), 10, 64); err == nil && i != 4 && i != 5 && i <= 8 {
			l.all += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return l
}

// others is the share of one CPU that was not ours since then.
func (l load) others() float64 {
	now := machineLoad()
	return float64((now.all-l.all)-(now.ours-l.ours)) / float64(now.at.Sub(l.at))
}

// TestSteady: the first failure counts where nobody disturbs, and none is lost.
func TestSteady(t *testing.T) {
	a := &attempt{TB: t}
	a.run(func(t testing.TB) {
		t.Errorf("first %d", 1)
		t.Fatal("second")
		t.Error("not reached")
	})
	if len(a.wrong) != 2 || a.wrong[0] != "first 1" || a.wrong[1] != "second" || !a.Failed() {
		t.Errorf("kept %q", a.wrong)
	}
	from := machineLoad()
	for time.Since(from.at) < 200*time.Millisecond {
	}
	if others := from.others(); others > 1.5 {
		t.Errorf("others took %.2f CPUs beside a loop of ours, which took one", others)
	}
}
