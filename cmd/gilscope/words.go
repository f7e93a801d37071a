package main

import (
	"io"
	"os"
	"strings"

	"gilscope/collector"
	"gilscope/viewer"
)

// words is where words for people go, a line at each write. They may quote names
// from the target, which must neither control a terminal nor make lines of their own.
type words struct{ io.Writer }

func (w words) Write(p []byte) (int, error) {
	text, begin, end := string(p), "", ""
	if rest, ok := strings.CutPrefix(text, collector.Redraw); ok {
		text, begin = rest, collector.Redraw
	}
	if rest, ok := strings.CutSuffix(text, "\n"); ok {
		text, end = rest, "\n"
	}
	if _, err := io.WriteString(w.Writer, begin+viewer.Safe(text)+end); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Fd is the file that is written to; none if it is no file.
func (w words) Fd() uintptr {
	if f, ok := w.Writer.(*os.File); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}
