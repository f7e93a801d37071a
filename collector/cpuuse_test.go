package collector

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"gilscope/internal/trace"
	"gilscope/probes"
)

// TestFoundRunning: who was on a CPU when the recording began runs since the look at the CPUs, and who came
// there by a switch that was not reported since its next CPU sample. Of a thread of which it is known, neither
// says anything new.
func TestFoundRunning(t *testing.T) {
	var out bytes.Buffer
	d := newDispatcher(trace.NewWriter(&out, trace.WriterOptions{CPUs: 2}))
	d.w.Note(trace.Note{Time: 1, Name: trace.NoteRecording})
	p := newProcess(11)
	d.procs[11] = p
	tell := func(ms trace.Time, kind uint8, flags uint8) {
		d.record(probes.Record{Rec: &probes.Rec{Ts: uint64(ms * 1000 * us), Kind: kind, Cpu: 1, Tgid: 11, Tid: 11, Flags: flags}})
	}
	tell(10, probes.KindRunning, 0)
	tell(20, probes.KindRunning, 0)
	tell(50, probes.KindSwitch, probes.FlagPrev) // and takes it again
	tell(60, probes.KindSample, 0)
	tell(70, probes.KindSample, 0)
	tell(110, probes.KindSwitch, probes.FlagPrev|probes.FlagAsleep)
	if d.repaired != 1 {
		t.Errorf("%d switches repaired, want 1", d.repaired)
	}
	d.close(p, 210*1000*us, trace.WaitUnknown)
	d.w.Note(trace.Note{Time: 211 * 1000 * us, Name: trace.NoteEnd})
	if err := d.w.Close(); err != nil {
		t.Fatal(err)
	}
	tr, err := trace.Read(&out)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range tr.Events {
		switch e.Kind {
		case trace.SchedSwitch:
			got = append(got, fmt.Sprintf("%d switch to %d", e.Time/us, e.TID))
		case trace.ThreadsRunning:
			got = append(got, fmt.Sprintf("%d %s %d", e.Time/us, e.Kind, e.Arg))
		}
	}
	want := "10000 switch to 11; 10000 threads.running 90; 50000 switch to 0; 60000 switch to 11; 110000 switch to 0; 110000 threads.running 0"
	if s := strings.Join(got, "; "); s != want {
		t.Errorf("got %s", s)
	}
}

// TestCPUUse: two counters tell how much threads ran, and how much they wanted to, in
// each 100 ms; also of threads that do not leave their CPUs, and none of what was lost.
func TestCPUUse(t *testing.T) {
	const ms = 1000 * us
	var out bytes.Buffer
	d := newDispatcher(trace.NewWriter(&out, trace.WriterOptions{CPUs: 2}))
	d.w.Note(trace.Note{Time: 1, Name: trace.NoteRecording})
	p := newProcess(11)
	d.procs[11] = p
	change := func(at trace.Time, cpu uint16, prev, next uint32, flags uint8) {
		if prev != 0 {
			flags |= probes.FlagPrev
		}
		if next != 0 {
			flags |= probes.FlagNext
		}
		d.record(probes.Record{Rec: &probes.Rec{Ts: uint64(at), Kind: probes.KindSwitch, Cpu: cpu, Tgid: 11, Tid: prev, Peer: next, Flags: flags}})
	}
	change(100*ms, 0, 0, 11, 0)
	change(100*ms, 1, 0, 12, 0)
	change(150*ms, 1, 12, 0, 0) // loses its CPU
	change(175*ms, 1, 0, 12, 0)
	d.flushUse(p, 200*ms)
	d.flushUse(p, 300*ms)
	change(350*ms, 1, 12, 0, probes.FlagAsleep)
	d.interrupted(350 * ms) // what 11 does is not known any more
	d.close(p, 400*ms, trace.WaitUnknown)
	d.w.Note(trace.Note{Time: 400*ms + 1, Name: trace.NoteEnd})
	if err := d.w.Close(); err != nil {
		t.Fatal(err)
	}
	tr, err := trace.Read(&out)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range tr.Events {
		if e.Kind == trace.ThreadsRunning || e.Kind == trace.ThreadsRunnable {
			got = append(got, fmt.Sprintf("%d %s %d", e.Time/ms, e.Kind, e.Arg))
		}
	}
	want := "100 threads.running 175; 150 threads.runnable 25; 200 threads.running 200; 250 threads.runnable 0; 300 threads.running 50"
	if s := strings.Join(got, "; "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}
