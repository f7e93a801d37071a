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

// readTrace reads a recording.
func readTrace(path string) (*trace.Trace, error) {
	t, err := trace.ReadFile(path)
	return t, ioFailed(err)
}

// timeline reads a recording and builds its timeline.
func timeline(path string) (*analyze.Timeline, error) {
	t, err := readTrace(path)
	if err != nil {
		return nil, err
	}
	return analyze.Build(t), nil
}
