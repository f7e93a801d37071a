// Command gilscope records and explains GIL contention of live CPython processes.
//
// Each command is one file: flags go into an options struct, run does the work
// and returns an error, and exit.go alone turns errors into exit codes.
// Data goes to stdout, words for people to stderr.
package main

import (
	"context"
	"os"

	"gilscope/collector"
)

// version is set by the linker for releases.
var version = "0.1.0-dev"

func main() {
	err := collector.LimitToCaller()
	if err == nil {
		err = newRoot().ExecuteContext(context.Background())
	}
	complain(os.Stderr, err)
	os.Exit(exitCode(err))
}
