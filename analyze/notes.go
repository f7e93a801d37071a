package analyze

import (
	"strconv"

	"gilscope/internal/trace"
)

// text is the named value of a note as text; "" if it has none.
func text(n trace.Note, key string) string {
	for _, a := range n.Args {
		if a.Key == key {
			return a.Text
		}
	}
	return ""
}

// number is the named value of a note, and whether it has one. A number that
// was written as text counts.
func number(n trace.Note, key string) (int64, bool) {
	for _, a := range n.Args {
		if a.Key != key {
			continue
		}
		if a.Text == "" {
			return a.Num, true
		}
		v, err := strconv.ParseInt(a.Text, 10, 64)
		return v, err == nil
	}
	return 0, false
}

// yes is a 0|1 value of a note; nil if it has none.
func yes(n trace.Note, key string) *bool {
	v, ok := number(n, key)
	if !ok {
		return nil
	}
	b := v != 0
	return &b
}

// lastNote is the last note of that name about the process.
func lastNote(t *trace.Trace, name string, pid int32) (trace.Note, bool) {
	for i := len(t.Notes) - 1; i >= 0; i-- {
		if t.Notes[i].Name == name && t.Notes[i].PID == pid {
			return t.Notes[i], true
		}
	}
	return trace.Note{}, false
}
