// Package cpython owns what gilscope knows about CPython from outside: it finds
// the interpreter in a live process, says where the fields lie that the probes
// read (Layout), reads thread states, code objects and thread names, names
// native code, and plans where probes go. It only ever reads (Debuginfod, if it
// is asked to, also downloads); everything it reads, from the process and from
// its ELF files, is bounded and validated.
package cpython

import (
	"errors"
	"fmt"
)

// The sentinel errors of this package. Every error of Open wraps one of them.
var (
	// ErrNotPython: no ELF file mapped by the process contains _PyRuntime.
	ErrNotPython = errors.New("not a CPython process")
	// ErrGone: the process ended (or its pid belongs to another one by now).
	ErrGone = errors.New("the process is gone")
	// ErrUnsupported: a CPython whose layout gilscope does not know.
	ErrUnsupported = errors.New("unsupported interpreter")
	// ErrPermission: the kernel does not let us read the process or its files.
	ErrPermission = errors.New("not permitted")
	// ErrNotReady: the interpreter is there, but Py_Initialize is not done yet.
	ErrNotReady = errors.New("the interpreter is still starting")
	// ErrStale: the object at an address is not the one the key was made for.
	ErrStale = errors.New("the object was freed or replaced")
	// ErrNoSymbol: no mapped file defines the function asked for.
	ErrNoSymbol = errors.New("symbol not found")
	// ErrMalformed: an ELF file or an object breaks the rules of its format.
	ErrMalformed = errors.New("malformed data")
	// ErrUnmapped: the process has nothing at that address.
	ErrUnmapped = errors.New("address not mapped")
)

// Version is a CPython version as PY_VERSION_HEX: 0x030b07f0 is 3.11.7 final.
type Version uint32

// MakeVersion returns the version major.minor.micro, final release.
func MakeVersion(major, minor, micro int) Version {
	return Version(major&0xff)<<24 | Version(minor&0xff)<<16 | Version(micro&0xff)<<8 | 0xf0
}

// Major returns 3 of 3.11.7.
func (v Version) Major() int { return int(v >> 24) }

// Minor returns 11 of 3.11.7.
func (v Version) Minor() int { return int(v >> 16 & 0xff) }

// Micro returns 7 of 3.11.7.
func (v Version) Micro() int { return int(v >> 8 & 0xff) }

// String returns the version as Python writes it: "3.11.7", "3.14.0rc1".
func (v Version) String() string {
	s := fmt.Sprintf("%d.%d.%d", v.Major(), v.Minor(), v.Micro())
	level, serial := v>>4&0xf, v&0xf
	switch level {
	case 0xa:
		return fmt.Sprintf("%sa%d", s, serial)
	case 0xb:
		return fmt.Sprintf("%sb%d", s, serial)
	case 0xc:
		return fmt.Sprintf("%src%d", s, serial)
	}
	return s
}

// series returns the version without micro and level, for comparisons: 0x030b.
func (v Version) series() uint32 { return uint32(v >> 16) }

// Build says how the interpreter was built and where it lies.
type Build struct {
	FreeThreaded bool   // built with --disable-gil
	GILEnabled   bool   // the GIL was in use when Open read it; see Process.GILEnabled
	Stripped     bool   // the file has no .symtab
	PIE          bool   // the file is position independent (every libpython is)
	Shared       bool   // the interpreter is a library, not the executable itself
	Path         string // the ELF file with _PyRuntime, as the process has it mapped
	BuildID      string // GNU build id in hex, "" if the file has none
}
