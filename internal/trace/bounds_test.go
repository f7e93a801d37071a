package trace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zlib"
)

// deflatedPacket is a compressed_packets packet.
func deflatedPacket(t testing.TB, packets []byte) []byte {
	t.Helper()
	var deflated bytes.Buffer
	z := zlib.NewWriter(&deflated)
	if _, err := z.Write(packets); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	b, at := open(nil, fTracePacket)
	b = appendString(b, fPacketCompressed, deflated.String())
	return seal(b, at)
}

// schedBomb is a packet of scheduling events, 4 bytes each.
func schedBomb(events int) []byte {
	b, at := open(nil, fTracePacket)
	b, bundle := open(b, fPacketFtrace)
	b, compact := open(b, fBundleCompact)
	for _, field := range []uint64{fSwitchTime, fSwitchState, fSwitchNext, fSwitchPrio} {
		b = appendString(b, field, strings.Repeat("\x01\x02", events/2)) // no priority is that of the opening one
	}
	b = bytes.ReplaceAll(b, []byte("\x01\x02\x01"), []byte("\x03\x02\x03"))
	return seal(seal(seal(b, compact), bundle), at)
}

// noteBomb are notes without a word in them.
func noteBomb(notes int) []byte {
	var b []byte
	for range notes {
		packet, at := open(b, fTracePacket)
		packet, event := open(packet, fPacketTrackEvent)
		b = seal(seal(appendUint(packet, fEventTrack, 1), event), at)
	}
	return b
}

// repeated reads the same bytes again and again, up to a number of bytes.
func repeated(head, b []byte, limit int64) io.Reader {
	return io.MultiReader(bytes.NewReader(head), io.LimitReader(&endless{b: b}, limit))
}

type endless struct {
	b  []byte
	at int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.b[e.at:])
	e.at = (e.at + n) % len(e.b)
	return n, nil
}

// recordingHead is the begin of a recording.
func recordingHead(t testing.TB) []byte {
	t.Helper()
	return encode(t, &Trace{Strings: []string{""}, Frames: []Frame{{}}, Stacks: [][]FrameID{nil},
		Notes: []Note{{Name: NoteRecording}}}, testOptions, reinternEvery)
}

// TestReadRefusesBombs: little that becomes much is refused early, by what it
// would take and not by what it took. The files are as large as it gets.
func TestReadRefusesBombs(t *testing.T) {
	head := recordingHead(t)
	var strands []byte
	for i := range 60_000 {
		strands = appendInterned(strands, fInternedSources, uint64(i+1), "s"+strconv.Itoa(i))
	}
	b, at := open(nil, fTracePacket)
	interned := seal(appendString(b, fPacketInterned, string(strands)), at)
	for _, c := range []struct {
		name, want string
		file       io.Reader
		maxBytes   int64
	}{
		{"zlib, 1000:1", "times its size", repeated(head, deflatedPacket(t, make([]byte, maxPacket-100)), 8<<30), DefaultMaxBytes},
		{"zlib of events", "times its size", repeated(head, deflatedPacket(t, schedBomb(1<<20)), 8<<30), DefaultMaxBytes},
		{"4-byte events", "--max-mem", repeated(head, schedBomb(1<<16), 8<<30), 64 << 20},
		{"notes", "--max-mem", repeated(head, noteBomb(1000), 8<<30), 32 << 20},
		{"strings", "--max-mem", bytes.NewReader(append(head[:len(head):len(head)], interned...)), 1 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, begun := allocated(), time.Now()
			_, err := read(c.file, c.maxBytes)
			took, bytes := time.Since(begun), allocated()-before
			if !errors.Is(err, ErrTooBig) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %v with %q", err, ErrTooBig, c.want)
			}
			if took > 2*time.Second || bytes > 256<<20 {
				t.Errorf("it took %v and %d MB", took, bytes>>20)
			}
			t.Logf("%v, %d MB: %v", took.Round(time.Millisecond), bytes>>20, err)
		})
	}
}

// allocated is all memory that was ever allocated: no less than was ever in use.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// TestLimitIsOnWhatItTakes: a trace that fits is read, whatever is repeated in it.
func TestLimitIsOnWhatItTakes(t *testing.T) {
	x := simulate(2, 6, 3000)
	opt := testOptions
	opt.Level = 1
	file := encode(t, x, opt, 20_000) // names and stacks again and again
	fits := int64(len(x.Events)*eventBytes)*3/2 + 1<<20
	if _, err := read(bytes.NewReader(file), fits); err != nil {
		t.Error(err)
	}
	if _, err := read(bytes.NewReader(file), int64(len(x.Events)*eventBytes)/2); !errors.Is(err, ErrTooBig) {
		t.Errorf("half of what it takes: %v", err)
	}
}

// TestWriterForgetsTheDead: threads and processes that come and go leave nothing behind.
func TestWriterForgetsTheDead(t *testing.T) {
	const threads, processes, pid = 500_000, 100_000, 1000
	w := NewWriter(io.Discard, testOptions)
	w.Process(Process{PID: pid, Name: "python3"})
	w.Thread(Thread{PID: pid, TID: pid, Name: "MainThread"})
	w.Event(&Event{Time: 1, Kind: GILHoldBegin, PID: pid, TID: pid + 1}) // its end will come late
	before := heap()
	at := Time(1)
	life := func(pid, tid int32, name string) {
		at += 10
		w.Event(&Event{Time: at, Kind: ThreadStart, PID: pid, TID: tid})
		w.Thread(Thread{PID: pid, TID: tid, Name: name})
		w.Event(&Event{Time: at + 1, Kind: GILWaitBegin, PID: pid, TID: tid, Other: tid - 1})
		w.Event(&Event{Time: at + 2, Kind: GILWaitEnd, PID: pid, TID: tid})
		w.Event(&Event{Time: at + 3, Kind: ThreadExit, PID: pid, TID: tid})
		w.Event(&Event{Time: at + 4, Kind: SchedSwitch, TID: tid})
	}
	for i := range int32(threads) {
		life(pid, 2000+i, fmt.Sprintf("request-%d", i))
	}
	afterThreads := heap()
	for i := range int32(processes) {
		child := 1_000_000 + i
		w.Process(Process{PID: child, PPID: pid, Name: "python3"})
		w.Event(&Event{Time: at, Kind: GILHolder, PID: child, TID: child})
		life(child, child, "MainThread")
		w.Event(&Event{Time: at + 3, Kind: GILHolder, PID: child})
		w.Note(Note{Time: at + 4, PID: child, Name: NoteExit})
	}
	afterProcesses := heap()
	for what, n := range map[string]uint64{"threads": afterThreads - min(before, afterThreads), "processes": afterProcesses - min(before, afterProcesses)} {
		t.Logf("after the %s: %d kB more", what, n>>10)
		if n > 64<<20 {
			t.Errorf("after the %s: %d MB more than before", what, n>>20)
		}
	}
	if w.threads[threadKey(pid, pid+1)] == nil || w.threads[threadKey(pid, pid)] == nil || w.procs[pid] == nil {
		t.Error("a thread in a hold, or one that lives, was forgotten")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTablesAreBounded: a target that makes up code objects does not grow us for ever.
func TestTablesAreBounded(t *testing.T) {
	w := NewWriter(io.Discard, testOptions)
	first := w.Stack([]FrameID{w.Frame(Frame{Function: w.String("f0"), Line: 1})})
	var last StackID
	for i := range maxStrings + 1000 {
		last = w.Stack([]FrameID{1, w.Frame(Frame{Function: w.String("f" + strconv.Itoa(i)), Line: 1})})
	}
	if last != 0 || w.Stack([]FrameID{1}) != first || w.Stack([]FrameID{1, 0}) != 0 {
		t.Errorf("beyond the bound: new stack %d, known stack %d", last, w.Stack([]FrameID{1}))
	}
	if n := len(w.in.frameRefs); n > 3*maxStrings {
		t.Errorf("%d references to frames", n)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
