package cpython

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a CPython process that gilscope reads. Its methods may be called
// from several goroutines. Errors of reads wrap ErrGone once it has ended.
type Process struct {
	PID        int
	Version    Version
	Build      Build
	Layout     Layout
	Runtime    uint64 // address of _PyRuntime
	CodeType   uint64 // address of PyCode_Type, 0 if it is not exported
	PthreadTID uint32 // offset of the tid in glibc's struct pthread; None if not found. Needed for 3.8-3.10
	Start      uint64 // field 22 of /proc/PID/stat: tells a reused pid

	objects objectLayout
	pidfd   int
	interp  uint64 // the main interpreter
	exe     string // path of the executable as mapped

	mu        sync.Mutex
	maps      []Mapping
	refreshed time.Time
	code      map[uint64]*candidate // by start of the mapping; nil: unusable
	roles     map[uint64]frameRole  // by pc, see ForcedDrop
}

// Close releases the handle on the process. The process itself is untouched.
func (p *Process) Close() error {
	if p.pidfd < 0 {
		return nil
	}
	err := unix.Close(p.pidfd)
	p.pidfd = -1
	return err
}

// Forked returns the process that a fork of p made, which runs the same program
// in a copy of its memory. It may have ended already: then its reads fail.
func (p *Process) Forked(pid int) *Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	child := &Process{
		PID: pid, Version: p.Version, Build: p.Build, Layout: p.Layout,
		Runtime: p.Runtime, CodeType: p.CodeType, PthreadTID: p.PthreadTID,
		objects: p.objects, pidfd: -1, interp: p.interp, exe: p.exe,
		maps: p.maps, refreshed: p.refreshed, code: maps.Clone(p.code), roles: maps.Clone(p.roles),
	}
	if fd, err := unix.PidfdOpen(pid, 0); err == nil {
		child.pidfd = fd
	}
	child.Start, _ = startTime(pid)
	return child
}

// Alive returns nil while the process that was opened runs, else ErrGone.
func (p *Process) Alive() error {
	if p.pidfd < 0 {
		return fmt.Errorf("process %d: %w; nothing more can be read from it", p.PID, ErrGone)
	}
	fds := []unix.PollFd{{Fd: int32(p.pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	for errors.Is(err, unix.EINTR) { // the Go runtime signals its own threads
		n, err = unix.Poll(fds, 0)
	}
	if n > 0 && fds[0].Revents&unix.POLLIN != 0 {
		return fmt.Errorf("process %d: %w; nothing more can be read from it", p.PID, ErrGone)
	}
	return nil
}

// Read fills buf with the memory of the process at addr.
func (p *Process) Read(addr uint64, buf []byte) error {
	if len(buf) == 0 {
		return nil
	}
	local := []unix.Iovec{{Base: &buf[0], Len: uint64(len(buf))}}
	remote := []unix.RemoteIovec{{Base: uintptr(addr), Len: len(buf)}}
	n, err := unix.ProcessVMReadv(p.PID, local, remote, 0)
	if err == nil && n == len(buf) {
		return nil
	}
	return p.readError(addr, len(buf), err)
}

// readError says why n bytes at addr could not be read.
func (p *Process) readError(addr uint64, n int, err error) error {
	if err == nil || errors.Is(err, unix.EFAULT) {
		if gone := p.Alive(); gone != nil {
			return gone
		}
		return fmt.Errorf("read %d bytes at %#x of process %d: %w", n, addr, p.PID, ErrUnmapped)
	}
	return procError(fmt.Sprintf("read memory at %#x", addr), p.PID, err)
}

// span is one piece of memory to read.
type span struct {
	addr uint64
	buf  []byte
	ok   bool
}

// readSpans reads many pieces in few system calls and marks those it got. Only
// an error about the process as a whole is returned.
func (p *Process) readSpans(spans []span) error {
	const batch = 512 // the kernel takes 1024 pieces
	for len(spans) > 0 {
		n := min(batch, len(spans))
		local, remote := make([]unix.Iovec, n), make([]unix.RemoteIovec, n)
		for i := range n {
			local[i] = unix.Iovec{Base: &spans[i].buf[0], Len: uint64(len(spans[i].buf))}
			remote[i] = unix.RemoteIovec{Base: uintptr(spans[i].addr), Len: len(spans[i].buf)}
		}
		got, err := unix.ProcessVMReadv(p.PID, local, remote, 0)
		if err != nil && !errors.Is(err, unix.EFAULT) {
			return p.readError(spans[0].addr, len(spans[0].buf), err)
		}
		done := 0
		for ; done < n && got >= len(spans[done].buf); done++ {
			got -= len(spans[done].buf)
			spans[done].ok = true
		}
		if done < n {
			if err := p.Alive(); err != nil {
				return err
			}
			done++ // the one that failed stays marked as missing
		}
		spans = spans[done:]
	}
	return nil
}

// word reads a pointer-sized value.
func (p *Process) word(addr uint64) (uint64, error) {
	var b [8]byte
	if err := p.Read(addr, b[:]); err != nil {
		return 0, err
	}
	return le64(b[:], 0), nil
}

// Maps returns the mappings of the process as of the last refresh.
func (p *Process) Maps() []Mapping {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.maps
}

// Refresh reads the mappings again, after the process loaded a library.
func (p *Process) Refresh() error {
	maps, err := readMaps(p.PID)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refreshed = time.Now()
	if slices.Equal(p.maps, maps) {
		return nil // what is cached of them still holds
	}
	p.maps = maps
	p.code, p.roles = map[uint64]*candidate{}, map[uint64]frameRole{}
	return nil
}

// mapping returns the mapping that contains addr. An unknown address makes it
// read the mappings again, at most once in 200 ms: code made at run time (a JIT)
// would otherwise cost a read per sample.
func (p *Process) mapping(addr uint64) (Mapping, bool) {
	p.mu.Lock()
	m := findMapping(p.maps, addr)
	stale := time.Since(p.refreshed) > 200*time.Millisecond
	p.mu.Unlock()
	if m == nil && stale && p.Refresh() == nil {
		p.mu.Lock()
		m = findMapping(p.maps, addr)
		p.mu.Unlock()
	}
	if m == nil {
		return Mapping{}, false
	}
	return *m, true
}

// startTime returns field 22 of /proc/PID/stat, in clock ticks since boot.
func startTime(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, procError("read the start time", pid, err)
	}
	// The name (field 2) may contain anything, also spaces and parentheses.
	if i := bytes.LastIndexByte(b, ')'); i >= 0 {
		if fields := bytes.Fields(b[i+1:]); len(fields) > 19 {
			return strconv.ParseUint(string(fields[19]), 10, 64)
		}
	}
	return 0, fmt.Errorf("/proc/%d/stat: %w", pid, ErrMalformed)
}
