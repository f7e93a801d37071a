package collector

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
	"gilscope/probes"
)

// pipeline is the way of records to a trace that is thrown away, and a stretch
// of records in time order that can be told again and again.
type pipeline struct {
	s       *session
	records []probes.Record
	cycles  uint32
	at      uint64 // of the last record
	chance  *rand.Rand
}

// What the story of the records is made of: on two CPUs, three threads hand the
// GIL round, and others work without it.
const (
	benchPID   = 4242
	benchBegin = 1e12   // ns
	benchStep  = 10_000 // ns between two records, at most
	benchLap   = 1 << 13
	benchDepth = 6 // frames of a stack
	benchCode  = 0x7f00_0000_0000
	holders    = 3
	others     = 5
)

func newPipeline(tb testing.TB, detail probes.Detail) *pipeline {
	tb.Helper()
	w := trace.NewWriter(io.Discard, trace.WriterOptions{Level: 1, CPUs: 2, SampleHz: 99})
	tb.Cleanup(func() {
		if err := w.Close(); err != nil {
			tb.Error(err)
		}
	})
	s := &session{w: w, d: newDispatcher(w)}
	p := newProcess(benchPID)
	s.d.procs[benchPID] = p
	p.py, p.plan = &cpython.Process{}, probes.Plan{Detail: detail}
	p.stacks = newStacks(p.py, w, nil)
	s.settle(p, []cpython.Interpreter{{Addr: 1, GIL: 1, Interval: 5 * time.Millisecond}})
	p.places[0].gil.words = true // the empty process maps no libc
	for i := range uint32(holders + others) {
		s.d.join(p, benchPID+i)
	}
	b := &pipeline{s: s, at: benchBegin, chance: rand.New(rand.NewPCG(1, 1))}
	for len(b.records) < benchLap {
		b.cycle(detail == probes.Full)
	}
	return b
}

// lap passes all records on as the session would, and makes them later by the
// time they span, so that the next lap follows this one.
func (b *pipeline) lap() {
	span := b.at - benchBegin
	for i := range b.records {
		r := &b.records[i]
		b.s.d.record(*r)
		r.Ts += span
		r.Switches += b.cycles
	}
	b.s.d.flush()
}

// cycle adds one hand-off: 6 switches, 2 wakings, 2 blocks on the GIL, and in
// detail full a drop and a take for it and four pairs without contention.
func (b *pipeline) cycle(full bool) {
	n := b.cycles
	b.cycles++
	from, to, third := benchPID+n%holders, benchPID+(n+1)%holders, benchPID+(n+2)%holders
	other := benchPID + holders + n%others
	held := probes.Rec{Flags: probes.FlagGIL | probes.FlagLocked, HolderTid: to, Switches: n + 1}
	free := probes.Rec{Flags: probes.FlagGIL, HolderTid: from, Switches: n}
	if full {
		b.add(free, probes.KindDrop, 0, from, 0)
	}
	wake := b.add(free, probes.KindWaking, 0, from, to)
	wake.Word, wake.Op = wordCondLo, opWake
	b.comes(1, to)
	if full {
		b.add(held, probes.KindTake, 1, to, 0)
	}
	b.blocks(held, 0, from)
	b.comes(0, other)
	b.leaves(held, 0, other)
	b.add(held, probes.KindWaking, 1, to, other)
	b.comes(0, third)
	b.blocks(held, 0, third)
	b.comes(0, other)
	b.leaves(held, 0, other)
	for i := 0; full && i < 4; i++ {
		b.add(held, probes.KindDrop, 1, to, 0)
		b.add(held, probes.KindTake, 1, to, 0)
	}
}

// add appends a record with the GIL's fields and returns it.
func (b *pipeline) add(fields probes.Rec, kind uint8, cpu uint16, tid, peer uint32) *probes.Record {
	b.at += 1 + b.chance.Uint64N(benchStep)
	fields.Ts = b.at
	fields.Kind, fields.Cpu, fields.Tgid, fields.Tid, fields.Peer = kind, cpu, benchPID, tid, peer
	b.records = append(b.records, probes.Record{Rec: &fields})
	return &b.records[len(b.records)-1]
}

func (b *pipeline) comes(cpu uint16, tid uint32) {
	b.add(probes.Rec{Flags: probes.FlagNext}, probes.KindSwitch, cpu, 0, tid)
}

func (b *pipeline) leaves(fields probes.Rec, cpu uint16, tid uint32) *probes.Record {
	fields.Flags |= probes.FlagPrev | probes.FlagAsleep
	fields.Arg = 1
	return b.add(fields, probes.KindSwitch, cpu, tid, 0)
}

// blocks adds a thread that goes to sleep on the GIL, with its stack and the holder's.
func (b *pipeline) blocks(fields probes.Rec, cpu uint16, tid uint32) {
	fields.Word, fields.Op = wordCondLo, opWait
	r := b.leaves(fields, cpu, tid)
	r.Own, r.Holder = b.stack(tid), b.stack(fields.HolderTid)
}

// stack makes one of 64 stacks of a thread and has its frames known, as they
// are after the first look into a live process.
func (b *pipeline) stack(tid uint32) probes.Stack {
	frames := make([]probes.Frame, benchDepth)
	known := b.s.d.procs[benchPID].stacks
	for i := range frames {
		frames[i] = probes.Frame{Code: benchCode + uint64(i)<<12, Lasti: 2 * int32(tid-benchPID), Ident: 1}
		if i == 0 {
			frames[i].Lasti = int32(b.cycles % 64)
		}
		known.frames[keyOf(&frames[i])] = b.s.w.Frame(trace.Frame{
			Function: b.s.w.String(fmt.Sprintf("function_%d", i)), File: b.s.w.String("/srv/app/module.py"), Line: 10 + frames[i].Lasti,
		})
	}
	return probes.Stack{Hash: uint64(tid)<<8 | uint64(b.cycles%64) | 1<<40, Frames: frames}
}

var pipelineDetails = []probes.Detail{probes.Waits, probes.Full}

// BenchmarkPipeline: decoded records to bytes of a trace. Goal: 500 ns for each
// event, so that one core keeps up with 2 million a second.
func BenchmarkPipeline(b *testing.B) {
	for _, detail := range pipelineDetails {
		b.Run(string(detail), func(b *testing.B) {
			p := newPipeline(b, detail)
			p.lap()
			before := p.s.d.events
			b.ReportAllocs()
			for b.Loop() {
				p.lap()
			}
			if err := p.s.w.Flush(); err != nil {
				b.Fatal(err)
			}
			events := float64(p.s.d.events - before)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/events, "ns/event")
			b.ReportMetric(float64(p.s.w.Written())/float64(p.s.d.events), "B/event")
			b.ReportMetric(events/float64(b.N)/float64(len(p.records)), "events/record")
		})
	}
}

func TestPipelineDoesNotAllocate(t *testing.T) {
	for _, detail := range pipelineDetails {
		t.Run(string(detail), func(t *testing.T) {
			p := newPipeline(t, detail)
			for range 5 {
				p.lap()
			}
			before := p.s.d.events
			const laps = 5
			perLap := testing.AllocsPerRun(laps, p.lap)
			perEvent := perLap / (float64(p.s.d.events-before) / (laps + 1)) // AllocsPerRun warms up with a run of its own
			t.Logf("%.4f allocations per event", perEvent)
			if perEvent > 0.05 {
				t.Errorf("%.3f allocations per event, want none", perEvent)
			}
		})
	}
}
