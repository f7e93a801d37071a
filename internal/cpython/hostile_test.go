package cpython

import (
	"errors"
	"testing"
	"time"

	"gilscope/internal/testpy"
)

// knot bends the list of threads into a circle: what a process can do to whoever
// reads it.
const knot = `
import ctypes, sys
get = ctypes.pythonapi.PyThreadState_Get
get.restype = ctypes.c_void_p
state = get()
word = ctypes.c_void_p.from_address(state + 8)
old = word.value
word.value = state
print("ready")
sys.stdin.buffer.raw.read()
word.value = old
`

func TestCyclicThreads(t *testing.T) {
	eachBuild(t, func(t *testing.T, i testpy.Interpreter) {
		p := open(t, testpy.Start(t, i, knot).PID)
		states, err := p.ThreadStates()
		if err != nil || len(states) != 1 {
			t.Errorf("threads %+v, error %v", states, err)
		}
	})
}

// churn starts and ends threads without a pause.
const churn = `
import sys, threading, time
stop = []
def end(): sys.stdin.read(); stop.append(1)
watcher = threading.Thread(target=end)
watcher.start()
print("ready")
n = 0
while not stop:
    t = [threading.Thread(target=time.sleep, args=(0.0001,), name="worker-%d" % (n + k)) for k in range(20)]
    for x in t: x.start()
    for x in t: x.join()
    n += 20
`

// TestThreadNamesWhileTheyChange reads a process that changes all the time: the
// main thread's name must come out nearly always, and no read may fail.
func TestThreadNamesWhileTheyChange(t *testing.T) {
	eachBuild(t, func(t *testing.T, i testpy.Interpreter) {
		proc := testpy.Start(t, i, churn)
		p := open(t, proc.PID)
		main, workers, failed := 0, 0, 0
		const rounds = 200
		for range rounds {
			names, err := p.ThreadObjects()
			if errors.Is(err, ErrGone) {
				t.Fatal(err)
			}
			if err != nil {
				failed++
			}
			for _, is := range names {
				if is.Name == "MainThread" {
					main++
				} else {
					workers++
				}
			}
			if _, err := p.ThreadStates(); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%d times the main thread, %d others, %d of %d reads failed", main, workers, failed, rounds)
		if main < rounds/2 || failed > rounds/2 {
			t.Errorf("%d times the main thread, %d of %d reads failed", main, failed, rounds)
		}
	})
}

// TestEndedProcess checks that all readers say ErrGone, and soon.
func TestEndedProcess(t *testing.T) {
	proc := testpy.Start(t, testpy.One(t, "3.11"), waiter)
	p := open(t, proc.PID)
	proc.Kill()
	begin := time.Now()
	_, interpreters := p.Interpreters()
	_, threads := p.ThreadStates()
	_, names := p.ThreadObjects()
	_, again := Open(proc.PID)
	for name, err := range map[string]error{
		"Read": p.Read(p.Runtime, make([]byte, 8)), "Interpreters": interpreters, "ThreadStates": threads,
		"ThreadObjects": names, "Refresh": p.Refresh(), "Open": again, "Alive": p.Alive(),
	} {
		if !errors.Is(err, ErrGone) {
			t.Errorf("%s of an ended process: error %v, want ErrGone", name, err)
		}
	}
	if d := time.Since(begin); d > time.Second {
		t.Errorf("took %v", d)
	}
}
