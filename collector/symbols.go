package collector

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"gilscope/internal/cpython"
)

// fetchSymbols gets symbol files of the targets from debuginfod servers, if that
// was asked for: before the recording, which must not wait for a network.
// Without them native functions may lack names; nothing else depends on them.
func (s *session) fetchSymbols(ctx context.Context, targets []*cpython.Process) error {
	if !s.o.Debuginfod {
		return nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("debuginfod: %w: set HOME or XDG_CACHE_HOME", err)
	}
	d, err := cpython.NewDebuginfod(os.Getenv("DEBUGINFOD_URLS"), filepath.Join(cache, "gilscope", "debuginfo"))
	if err != nil {
		return err
	}
	defer d.Close()
	for _, t := range targets {
		n, err := d.Fetch(ctx, t)
		if err != nil {
			fmt.Fprintf(s.o.Words, "warning: symbols of pid %d: %v\n", t.PID, err)
		}
		if n > 0 {
			fmt.Fprintf(s.o.Words, "fetched %d symbol files for pid %d\n", n, t.PID)
		}
	}
	return nil
}
