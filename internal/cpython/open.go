package cpython

import (
	"errors"
	"fmt"
	"path"
	"runtime"
	"strings"

	"debug/elf"

	"golang.org/x/sys/unix"
)

// maxCandidates bounds the files opened in the search for _PyRuntime.
const maxCandidates = 1024

// Open finds the CPython in process pid and learns its layout. The error wraps
// one of the sentinel errors and ends with the remedy.
func Open(pid int) (*Process, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, procError("open", pid, err)
	}
	p := &Process{PID: pid, pidfd: fd, PthreadTID: None}
	if err := p.open(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Process) open() (err error) {
	if p.Start, err = startTime(p.PID); err != nil {
		return err
	}
	if err := p.Refresh(); err != nil {
		return err
	}
	c, err := p.findRuntime()
	if err != nil {
		return err
	}
	p.Runtime, p.CodeType = c.runtime, c.addr("PyCode_Type")
	p.Build = Build{
		Stripped: c.mod.stripped(), PIE: c.mod.img.kind == elf.ET_DYN,
		Shared: c.m.Path != p.exe, Path: c.m.Path, BuildID: c.mod.img.buildID(),
	}
	if err := p.learnLayout(c); err != nil {
		return err
	}
	if err := p.verify(); err != nil {
		return err
	}
	if err := p.verifyFrames(); err != nil {
		return err
	}
	p.verifyCollecting()
	if p.Build.GILEnabled, err = p.GILEnabled(); err != nil {
		return err
	}
	p.PthreadTID = p.findPthreadTID()
	// Of a program that has just begun, its libraries may have been mapped since: a
	// static interpreter is found before its libc is. Now that it is up, all are there.
	if err := p.Refresh(); err != nil {
		return err
	}
	return p.Alive()
}

// candidate is a mapped file that may be the interpreter.
type candidate struct {
	m       Mapping // its first executable mapping
	mod     *module
	bias    uint64 // address in the process = address in the file + bias
	runtime uint64
}

// addr returns the address of an exported symbol in the process, 0 if absent.
func (c *candidate) addr(name string) uint64 {
	s, ok := c.mod.dynamic().find(name)
	if !ok {
		return 0
	}
	return s.value + c.bias
}

// findRuntime finds the mapped file that contains _PyRuntime: a libpython, the
// executable, then any other.
func (p *Process) findRuntime() (*candidate, error) {
	var firstErr error
	for _, m := range p.candidates() {
		c, err := p.examine(m)
		if err == nil && c != nil {
			return c, nil
		}
		if err != nil && firstErr == nil && (m.Path == p.exe || isLibpython(m.Path)) {
			firstErr = err
		}
	}
	if firstErr != nil && !errors.Is(firstErr, ErrMalformed) {
		return nil, firstErr
	}
	return nil, fmt.Errorf("process %d (%q): %w: no mapped file contains _PyRuntime; pick the process that runs Python 3.8 or newer (a child?)", p.PID, p.exe, ErrNotPython)
}

// candidates returns the executable file mappings in the order of the search.
func (p *Process) candidates() []Mapping {
	exeLink, _ := readLink(p.PID)
	var libs, exe, rest []Mapping
	seen := map[[2]uint64]bool{}
	for _, m := range p.maps {
		id := [2]uint64{m.Dev, m.Inode}
		if !m.Exec || m.Inode == 0 || seen[id] {
			continue
		}
		seen[id] = true
		switch {
		case isLibpython(m.Path):
			libs = append(libs, m)
		case m.Path == exeLink:
			exe = append(exe, m)
		default:
			rest = append(rest, m)
		}
	}
	p.exe = exeLink
	all := append(append(libs, exe...), rest...)
	return all[:min(len(all), maxCandidates)]
}

// isLibpython says whether a path looks like CPython's shared library. The
// stub libpython3.so fails later: it has no _PyRuntime.
func isLibpython(file string) bool {
	return strings.HasPrefix(path.Base(file), "libpython3")
}

// examine looks for _PyRuntime in the file behind m; nil without an error means
// that the file is something else.
func (p *Process) examine(m Mapping) (*candidate, error) {
	c, err := p.candidateAt(m)
	if err != nil {
		return nil, err
	}
	if c.runtime = c.addr("_PyRuntime"); c.runtime != 0 {
		return p.checkMachine(c)
	}
	if s := c.mod.img.section(".PyRuntime"); s != nil && s.addr != 0 { // 3.10+, exports removed
		c.runtime = s.addr + c.bias
		return p.checkMachine(c)
	}
	if isLibpython(m.Path) && c.addr("PyEval_RestoreThread") != 0 {
		return nil, fmt.Errorf("%q in process %d exports no _PyRuntime (older than 3.7): %w; gilscope needs Python 3.8 or newer", m.Path, p.PID, ErrUnsupported)
	}
	return nil, nil
}

// checkMachine refuses processors whose glibc sizes the layouts do not fit.
func (p *Process) checkMachine(c *candidate) (*candidate, error) {
	if cpu := ourProcessor(); cpu == nil || c.mod.img.machine != cpu.machine {
		return nil, fmt.Errorf("%q in process %d is for %v: %w; this gilscope is for %s", c.m.Path, p.PID, c.mod.img.machine, ErrUnsupported, runtime.GOARCH)
	}
	return c, nil
}
