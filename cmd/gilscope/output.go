package main

import (
	"io"

	"gilscope/analyze"
	"gilscope/internal/safefile"
	"gilscope/internal/trace"
)

// writeTo gives fill the file at path, or stdout for "" and "-". A file appears
// whole or not at all.
func writeTo(path string, stdout io.Writer, fill func(io.Writer) error) error {
	if path == "" || path == "-" {
		return ioFailed(fill(stdout))
	}
	return ioFailed(safefile.Write(path, fill))
}

// readTrace reads a recording that fits in memory.
func readTrace(path string, m memoryFlag) (*trace.Trace, error) {
	t, err := trace.ReadFileWithin(path, m.bytes)
	return t, ioFailed(err)
}

// timeline reads a recording and builds its timeline.
func timeline(path string, m memoryFlag) (*analyze.Timeline, error) {
	t, err := readTrace(path, m)
	if err != nil {
		return nil, err
	}
	return analyze.Build(t), nil
}
