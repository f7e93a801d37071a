package probes

import "testing"

// BenchmarkOpen is most of what attaching costs: loading and verifying.
func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		s, err := Open(Options{SampleHz: 99})
		if err != nil {
			b.Fatalf("%+v", err)
		}
		if err := s.Close(); err != nil {
			b.Fatalf("%+v", err)
		}
	}
}
