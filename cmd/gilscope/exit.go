package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"gilscope/collector"
	"gilscope/internal/safefile"
	"gilscope/internal/trace"
	"gilscope/viewer"
)

// Exit codes, part of the interface.
const (
	exitOK           = 0
	exitBreached     = 1
	exitUsage        = 2
	exitInconclusive = 3
	exitEnvironment  = 4
	exitIO           = 5
)

// Errors that are verdicts; what was found has been written already.
var (
	errBreached     = errors.New("a budget is breached")
	errInconclusive = errors.New("inconclusive: the recording does not prove what a budget asks")
)

// usageError is a wrong command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usageErrorf(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// ioError is a failure to read or write a file or a connection.
type ioError struct{ err error }

func (e *ioError) Error() string { return e.err.Error() }
func (e *ioError) Unwrap() error { return e.err }

// ioFailed marks err as input or output; nil stays nil.
func ioFailed(err error) error {
	if err == nil {
		return nil
	}
	return &ioError{err}
}

// exitCode is the one place where errors become exit codes. What is not known
// came from recording, whose surroundings fail in more ways than have a type.
func exitCode(err error) int {
	var (
		usage   *usageError
		io      *ioError
		path    *fs.PathError
		command *commandError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &command):
		return command.code
	case errors.Is(err, errBreached):
		return exitBreached
	case errors.As(err, &usage), errors.Is(err, viewer.ErrDetail):
		return exitUsage
	case errors.Is(err, errInconclusive), errors.Is(err, errNoRound):
		return exitInconclusive
	case errors.As(err, &io), errors.Is(err, collector.ErrOutput), errors.Is(err, safefile.ErrRefused),
		errors.Is(err, trace.ErrNotTrace), errors.Is(err, trace.ErrForeign), errors.Is(err, trace.ErrTooBig):
		return exitIO
	case errors.Is(err, collector.ErrTarget):
		return exitEnvironment
	case errors.As(err, &path) && !strings.HasPrefix(path.Path, "/proc/") && !strings.HasPrefix(path.Path, "/sys/"):
		return exitIO
	}
	return exitEnvironment
}

// complain writes the error for a person. It may quote names from the target.
func complain(w io.Writer, err error) {
	if err == nil {
		return
	}
	for i, line := range strings.Split(err.Error(), "\n") {
		if i == 0 {
			line = "gilscope: " + line
		}
		fmt.Fprintln(w, viewer.Safe(line))
	}
}
