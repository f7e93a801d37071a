package trace

import (
	"bytes"
	"io"
	"testing"
)

// recording writes everything of a trace but its events, and returns a writer
// that is warm: names and stacks are written.
func recording(x *Trace, out io.Writer, o WriterOptions) *Writer {
	w := NewWriter(out, o)
	warm := *x
	warm.Complete = false
	writeAll(w, &warm)
	return w
}

func BenchmarkWrite(b *testing.B) {
	x := simulate(7, 8, 5000)
	for _, c := range []struct {
		name  string
		level int
	}{{"plain", 0}, {"zlib1", 1}} {
		b.Run(c.name, func(b *testing.B) {
			opt := testOptions
			opt.Level = c.level
			w := recording(x, io.Discard, opt)
			b.ReportAllocs()
			b.ResetTimer()
			at := w.Written()
			for i := range b.N {
				e := x.Events[i%len(x.Events)]
				e.Time += Time(i / len(x.Events) * 1e9)
				w.Event(&e)
			}
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(w.Written()-at)/float64(b.N), "B/event")
		})
	}
}

func BenchmarkRead(b *testing.B) {
	const events = 1_000_000
	x := simulate(7, 8, events/22)
	for _, c := range []struct {
		name  string
		level int
	}{{"plain", 0}, {"zlib1", 1}} {
		b.Run(c.name, func(b *testing.B) {
			opt := testOptions
			opt.Level = c.level
			file := encode(b, x, opt, reinternEvery)
			b.ResetTimer()
			for b.Loop() {
				t, err := Read(bytes.NewReader(file))
				if err != nil || len(t.Events) != len(x.Events) {
					b.Fatalf("%d events, %v", len(t.Events), err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(x.Events)), "ns/event")
		})
	}
}

func TestEventDoesNotAllocate(t *testing.T) {
	x := simulate(7, 8, 200)
	w := recording(x, io.Discard, testOptions)
	i := 0
	if n := testing.AllocsPerRun(20_000, func() {
		w.Event(&x.Events[i%len(x.Events)])
		i++
	}); n != 0 {
		t.Errorf("%v allocations per event, want 0", n)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
