package cpython

import "fmt"

// GILEnabled says whether the GIL of the main interpreter is in use: always in
// a build with a GIL; in a free-threaded one it was asked for at the start
// (PYTHON_GIL=1, -X gil=1), or an extension module that needs it was imported.
// While one is imported that might, it is in use as well. Costs one read.
func (p *Process) GILEnabled() (bool, error) {
	if !p.Build.FreeThreaded {
		return true, nil
	}
	// The main interpreter always has a GIL of its own, and "enabled" comes first
	// in it (Include/internal/pycore_gil.h; Python/ceval_gil.c: 0, a count of those
	// who want it for a moment, or INT_MAX).
	var b [4]byte
	if err := p.Read(p.interp+uint64(p.Layout.InterpOwnGIL), b[:]); err != nil {
		return false, fmt.Errorf("read whether the GIL of process %d is enabled: %w", p.PID, err)
	}
	return le32(b[:], 0) != 0, nil
}
