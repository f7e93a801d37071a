package oracle

import (
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// field appends a protobuf field: a uint64 as a varint, a string or []byte as a length and bytes.
func field(out []byte, id uint64, value any) []byte {
	switch v := value.(type) {
	case uint64:
		return varint(varint(out, id<<3), v)
	case string:
		return append(varint(varint(out, id<<3|2), uint64(len(v))), v...)
	case []byte:
		return append(varint(varint(out, id<<3|2), uint64(len(v))), v...)
	}
	return out
}

func varint(out []byte, v uint64) []byte {
	for ; v > 0x7f; v >>= 7 {
		out = append(out, byte(v)|0x80)
	}
	return append(out, byte(v))
}

// packet appends a TracePacket with a timestamp and one more field.
func packet(out []byte, ts, flags, id uint64, body []byte) []byte {
	p := field(nil, 8, ts)
	p = field(p, 10, uint64(7)) // trusted_packet_sequence_id
	p = field(p, 13, flags)     // sequence_flags: 1 cleared, 2 needs what was interned
	return field(out, 1, field(p, id, body))
}

// sample writes a trace with one track "GIL" and one slice "GIL wait" of 5 ms. With interned, the slice's name refers to a
// table that was never sent.
func sample(t *testing.T, interned bool) string {
	t.Helper()
	const trackDescriptor, trackEvent, start = 60, 11, 1_000_000_000_000
	out := packet(nil, start, 1, trackDescriptor, field(field(nil, 1, uint64(42)), 2, "GIL"))
	begin := field(field(nil, 9, uint64(1)), 11, uint64(42))
	flags := uint64(0)
	if interned {
		begin, flags = field(begin, 10, uint64(99)), 2
	} else {
		begin = field(begin, 23, "GIL wait")
	}
	out = packet(out, start, flags, trackEvent, begin)
	out = packet(out, start+5_000_000, flags, trackEvent, field(field(nil, 9, uint64(2)), 11, uint64(42)))
	path := filepath.Join(t.TempDir(), "sample.pftrace")
	if err := os.WriteFile(path, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAsk(t *testing.T) {
	answer := Ask(t, sample(t, false), Request{
		Packages: map[string]map[string]string{"gs": {"gs.waits": "CREATE PERFETTO VIEW gs_waits AS SELECT * FROM slice;"}},
		SQL: []string{
			"SELECT s.ts, s.dur, s.name, t.name AS track FROM slice s JOIN track t ON t.id = s.track_id",
			"SELECT 9223372036854775807 AS big, -5 AS small, 2.0 AS whole, 0.25 AS part, NULL AS none, x'00ff' AS blob",
			"INCLUDE PERFETTO MODULE gs.waits; SELECT count() AS n FROM gs_waits",
			"SELECT 1 AS n WHERE 0",
		},
	})
	if len(answer.Tables) != 4 {
		t.Fatalf("%d tables, want 4", len(answer.Tables))
	}
	want := [][]Row{
		{{"ts": int64(1_000_000_000_000), "dur": int64(5_000_000), "name": "GIL wait", "track": "GIL"}},
		{{"big": int64(math.MaxInt64), "small": int64(-5), "whole": 2.0, "part": 0.25, "none": nil, "blob": "0x00ff"}},
		{{"n": int64(1)}},
		{},
	}
	for i, rows := range answer.Tables {
		if len(rows) != len(want[i]) {
			t.Errorf("table %d: %d rows, want %d", i, len(rows), len(want[i]))
			continue
		}
		for j, row := range rows {
			for column, value := range want[i][j] {
				if row[column] != value {
					t.Errorf("table %d row %d %s = %v (%T), want %v (%T)", i, j, column, row[column], row[column], value, value)
				}
			}
		}
	}
	if problems := answer.Problems(); len(problems) != 0 {
		t.Errorf("problems of a clean trace: %v", problems)
	}
	if !strings.HasPrefix(answer.Version, "v") {
		t.Errorf("version %q", answer.Version)
	}
}

func TestProblemsOfADamagedTrace(t *testing.T) {
	answer := Ask(t, sample(t, true), Request{})
	problems := answer.Problems()
	if len(problems) == 0 {
		t.Fatalf("no problem in a trace whose names were never sent; stats %v", answer.Stats)
	}
	var names []string
	for _, s := range answer.Stats {
		names = append(names, s.Name)
	}
	if left := answer.Problems(names...); len(left) != 0 {
		t.Errorf("allowed stats reported: %v", left)
	}
}

func TestProblems(t *testing.T) {
	answer := Answer{Stats: []Stat{
		{"clock_sync_cache_miss", "info", 2}, {"tokenizer_skipped_packets", "info", 1},
		{"unknown_extension_fields", "error", 75}, {"traced_buf_patches_failed", "data_loss", 1},
	}}
	got := answer.Problems("unknown_extension_fields")
	want := []string{"tokenizer_skipped_packets (info) = 1", "traced_buf_patches_failed (data_loss) = 1"}
	if !slices.Equal(got, want) {
		t.Errorf("problems %q, want %q", got, want)
	}
}

func TestScreenshot(t *testing.T) {
	out := filepath.Join(t.TempDir(), "ui.png")
	seen := Screenshot(t, sample(t, false), out, View{
		Width: 1000, Height: 700,
		Params:   map[string]string{"ts": "1000000000000", "dur": "5000000"},
		Commands: []Command{Pin("GIL")},
	})
	if len(seen.Tracks) == 0 || seen.Tracks[0] != "GIL" {
		t.Errorf("tracks %q, want the pinned GIL first", seen.Tracks)
	}
	if seen.Badge || !strings.Contains(seen.Details, "GIL wait") {
		t.Errorf("badge %v, details %q; want none, and the selected slice", seen.Badge, seen.Details)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := png.DecodeConfig(f)
	if err != nil || size.Width != 1000 || size.Height != 700 {
		t.Errorf("picture %v x %v (%v), want 1000 x 700", size.Width, size.Height, err)
	}
}
