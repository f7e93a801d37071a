package cpython

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
)

// maxInterval bounds a plausible switch interval: one hour in microseconds.
const maxInterval = 3600 * 1000 * 1000

func le32(b []byte, off uint32) uint32 { return binary.LittleEndian.Uint32(b[off:]) }
func le64(b []byte, off uint32) uint64 { return binary.LittleEndian.Uint64(b[off:]) }

// verify checks the layout against the live process: the main interpreter is
// in the list of interpreters, its threads point back at it, and its GIL looks
// like one. A layout that fails is refused; nothing is ever guessed.
func (p *Process) verify() error {
	l := &p.Layout
	interp, err := p.word(p.Runtime + uint64(l.RuntimeInterpretersMain))
	if err != nil {
		return err
	}
	if interp == 0 {
		return p.notReady("no interpreter exists")
	}
	p.interp = interp
	id, err := p.word(interp + uint64(l.InterpID))
	if err != nil || id != 0 {
		return p.implausible("the main interpreter has no id 0", err)
	}
	thread, err := p.word(interp + uint64(l.InterpThreadsHead))
	if err != nil {
		return p.implausible("the list of threads is unreadable", err)
	}
	if thread == 0 {
		return p.notReady("no thread exists")
	}
	back, err := p.word(thread + uint64(l.ThreadInterp))
	if err != nil || back != interp {
		return p.implausible("the first thread does not point at its interpreter", err)
	}
	return p.verifyGIL()
}

// verifyGIL checks the main interpreter's GIL.
func (p *Process) verifyGIL() error {
	gil, err := p.gilOf(p.interp)
	if err != nil {
		return p.implausible("the GIL is unreadable", err)
	}
	if gil == 0 {
		return p.notReady("the GIL does not exist")
	}
	b := make([]byte, 24)
	if err := p.Read(gil+uint64(p.Layout.GILShift), b); err != nil {
		return p.implausible("the GIL is unreadable", err)
	}
	interval, locked := le64(b, 0), int32(le32(b, 16))
	if locked == -1 { // before create_gil
		return p.notReady("the GIL is not created")
	}
	if locked != 0 && locked != 1 || interval == 0 || interval > maxInterval {
		return p.implausible(fmt.Sprintf("the GIL has locked %d and interval %d us", locked, interval), nil)
	}
	return nil
}

// gilOf returns the address of the GIL of an interpreter, 0 if it has none yet.
func (p *Process) gilOf(interp uint64) (uint64, error) {
	if p.Layout.InterpGIL == None {
		return p.Runtime + uint64(p.Layout.RuntimeGIL), nil
	}
	return p.word(interp + uint64(p.Layout.InterpGIL))
}

func (p *Process) notReady(what string) error {
	return fmt.Errorf("process %d, CPython %v: %w (%s); try again in a moment", p.PID, p.Version, ErrNotReady, what)
}

func (p *Process) implausible(what string, err error) error {
	if gone := p.Alive(); gone != nil || errors.Is(err, ErrGone) { // its memory ends first
		return cmp.Or(gone, err)
	}
	if err != nil {
		what = fmt.Sprintf("%s: %v", what, err)
	}
	return fmt.Errorf("process %d, CPython %v in %q has a layout that gilscope does not know (%s): %w; please report this build",
		p.PID, p.Version, p.Build.Path, what, ErrUnsupported)
}

// verifyCollecting gives the flag of the garbage collector up where it does not
// look like one: nothing but a finer answer depends on it.
func (p *Process) verifyCollecting() {
	l := &p.Layout
	base := p.interp
	if l.GCInRuntime {
		base = p.Runtime
	}
	var flag [4]byte
	if err := p.Read(base+uint64(l.GCCollecting), flag[:]); err != nil || le32(flag[:], 0) > 1 {
		l.GCCollecting = None
	}
}
