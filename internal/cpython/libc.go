package cpython

import (
	"errors"
	"fmt"
	"regexp"
)

// LibcKind says which C library the interpreter runs on.
type LibcKind string

// Kinds of C library.
const (
	Glibc      LibcKind = "glibc"
	Musl       LibcKind = "musl"
	StaticLibc LibcKind = "static" // no libc is mapped: linked into the executable
)

// Libc describes the C library of the process.
type Libc struct {
	Kind    LibcKind
	Path    string // as mapped
	Version string // "2.36"; "" if unknown
}

// maxBanner bounds the constants of the C library that are searched for its version.
const maxBanner = 4 << 20

var (
	// Alpine's is the loader itself, Debian's is in /usr/lib/x86_64-linux-musl.
	muslName     = regexp.MustCompile(`/(ld-musl-[^/]*\.so\.1|libc\.musl-[^/]*|[^/]*musl[^/]*/(lib/)?libc\.so)$`)
	glibcName    = regexp.MustCompile(`/(libc\.so\.6|libc-2\.\d+\.so)$`)
	pthreadName  = regexp.MustCompile(`/(libpthread\.so\.0|libpthread-2\.\d+\.so)$`)
	glibcVersion = regexp.MustCompile(`GNU C Library [^\n]{0,64} version (\d+\.\d+)`)
)

// Libc tells the C library that the process has mapped.
func (p *Process) Libc() Libc {
	for _, m := range p.Maps() {
		switch {
		case !m.Exec || m.Inode == 0:
		case muslName.MatchString(m.file()):
			return Libc{Kind: Musl, Path: m.Path}
		case glibcName.MatchString(m.file()):
			return Libc{Kind: Glibc, Path: m.Path, Version: p.glibcVersion(m)}
		}
	}
	return Libc{Kind: StaticLibc}
}

// glibcVersion tells the version of the C library behind a mapping.
func (p *Process) glibcVersion(m Mapping) string {
	c, ok := p.codeAt(m.Start)
	if !ok {
		return ""
	}
	return c.mod.libcVersion()
}

// libcVersion reads the banner that a glibc prints when it is run.
func (m *module) libcVersion() (version string) {
	s := m.img.section(".rodata")
	if s == nil {
		return ""
	}
	left := uint64(maxBanner)
	m.img.scan(s, &left, func(_ uint64, piece []byte, _ int) { // unread: unknown
		if v := glibcVersion.FindSubmatch(piece); v != nil && version == "" {
			version = string(v[1])
		}
	})
	return version
}

// LibcSites plans a probe on each libc function of names, in the same order:
// on the function that the interpreter really calls (its bound import), else on
// the default version in the mapped libc. ErrNoSymbol if there is none.
func (p *Process) LibcSites(names ...string) ([]Site, error) {
	bound := p.boundImports(names)
	libs := p.libcModules()
	var sites []Site
	for _, name := range names {
		addr := bound[name]
		for i := 0; addr == 0 && i < len(libs); i++ {
			addr = libs[i].addr(name)
		}
		if addr == 0 {
			return nil, fmt.Errorf("plan a probe on %s in process %d: %w in its C library (%s); a static libc cannot be probed", name, p.PID, ErrNoSymbol, p.Libc().Kind)
		}
		site, err := p.siteAt(name, addr)
		if err != nil {
			return nil, fmt.Errorf("plan a probe on %s in process %d: %w", name, p.PID, err)
		}
		sites = append(sites, site)
	}
	return sites, nil
}

// libcModules returns the mapped C libraries, libpthread first: where it is a
// library of its own (glibc < 2.34), libc.so.6 has only stubs of its functions.
func (p *Process) libcModules() []*candidate {
	var threads, rest []*candidate
	for _, m := range p.Maps() {
		isThreads := pthreadName.MatchString(m.file())
		if !m.Exec || m.Inode == 0 || !isThreads && !glibcName.MatchString(m.file()) && !muslName.MatchString(m.file()) {
			continue
		}
		c, ok := p.codeAt(m.Start)
		if !ok {
			continue
		}
		if isThreads {
			threads = append(threads, c)
		} else {
			rest = append(rest, c)
		}
	}
	return append(threads, rest...)
}

// candidateAt loads the file behind an executable mapping.
func (p *Process) candidateAt(m Mapping) (*candidate, error) {
	if !m.Exec || m.Inode == 0 {
		return nil, errors.New("no executable file mapping")
	}
	mod, err := loadModule(p.PID, &m)
	if err != nil {
		return nil, err
	}
	vaddr, ok := mod.img.vaddrOf(m.Offset)
	if !ok {
		return nil, fmt.Errorf("mapping at %#x of %q: %w", m.Start, m.Path, ErrMalformed)
	}
	return &candidate{m: m, mod: mod, bias: m.Start - vaddr}, nil
}
