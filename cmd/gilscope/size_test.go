package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gilscope/internal/trace"
)

// writeBig writes a recording whose events take more than 1 MiB.
func writeBig(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "big.pftrace")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := trace.NewWriter(f, trace.WriterOptions{Level: 1})
	w.Note(trace.Note{Name: trace.NoteRecording})
	for i := range 50_000 {
		w.Event(&trace.Event{Time: trace.Time(i), Kind: trace.SchedSwitch, TID: int32(i % 7)})
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestMaxMem: a trace that takes more than it may is an error of the input.
func TestMaxMem(t *testing.T) {
	hog, big := writeTrace(t, "hog"), writeBig(t)
	for _, command := range [][]string{{"report"}, {"check", "--assert", "recording.lost<=0"}, {"export", "--to", "text", "-o", "/dev/null"}} {
		for _, c := range []struct {
			trace, limit, want string
			code               int
		}{
			{big, "1MiB", "raise --max-mem", 5},
			{hog, "many", "such as 4GiB", 2},
			{hog, "-1GB", "such as 4GiB", 2},
			{hog, "1kB", "1MiB or more", 2},
		} {
			code, stdout, stderr := gilscope(append(command, c.trace, "--max-mem", c.limit)...)
			if code != c.code || stdout != "" || !strings.Contains(stderr, c.want) {
				t.Errorf("%v at %s: exit %d: %s%s, want %d: %s", command, c.limit, code, stdout, stderr, c.code, c.want)
			}
		}
	}
	if code, _, stderr := gilscope("report", hog, "--max-mem", "64 MiB"); code != 0 {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"100MB": 100e6, "1.5 GiB": 3 << 29, "4096": 4096, "64KiB": 64 << 10, "2k": 2000, "1gb": 1e9,
		"": 0, "MB": 0, "-1MB": 0, "0": 0, "1TB": 0, "1e30GB": 0, "NaN": 0, "1MBB": 0, "five": 0,
	} {
		if n, ok := parseSize(text); n != want || ok != (want > 0) {
			t.Errorf("%q: %d, %v; want %d", text, n, ok, want)
		}
	}
}
