package cpython

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"
	"time"
)

// Promised for one file, whatever is in it. The machine that tests may be busy
// with other things, so much more time than promised is a failure only.
const (
	promisedMemory = 64 << 20
	promisedTime   = 2 * time.Second
	grace          = 5
)

// readAll runs every reader of ELF files, as recording a process would.
func readAll(r io.ReaderAt, size int64, addrs ...uint64) {
	img, err := parseImage(r, size)
	if err != nil {
		return
	}
	m := &module{img: img}
	link, linked := img.debugLink()
	isSymbolFile(r, size, img.buildID(), link, linked)
	m.dynamic().find("_PyRuntime")
	m.gilFunctions()
	m.signalsOnlyInGIL()
	if calls, err := m.gilCalls(); err == nil {
		kept, _ := m.proven(calls)
		for _, c := range kept {
			m.symbol(c.insn)
		}
	}
	m.libcVersion()
	for _, addr := range addrs {
		if code, err := img.readVaddr(addr, maxBody); err == nil {
			planSite(code)
		}
	}
	x := m.frameIndex()
	for i := range min(len(x.table)/8, 64) {
		function, _ := x.entry(i)
		addrs = append(addrs, function, function+1)
	}
	for _, addr := range addrs {
		m.symbol(addr)
		m.row(addr)
		m.entryOf(addr)
		m.functionSize(addr)
	}
}

// measure fails if reading a file takes more than is promised. It counts all
// that was allocated, not only what was in use at the same time.
func measure(t *testing.T, name string, r io.ReaderAt, size int64, addrs ...uint64) (time.Duration, uint64) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	readAll(r, size, addrs...)
	spent := time.Since(begin)
	runtime.ReadMemStats(&after)
	used := after.TotalAlloc - before.TotalAlloc
	if spent > grace*promisedTime || used > promisedMemory {
		t.Errorf("%s: %v and %d MB", name, spent, used>>20)
	}
	return spent, used
}

// TestTruncatedELF cuts files at every byte of a small one and around every
// boundary of a real one.
func TestTruncatedELF(t *testing.T) {
	tiny := tinyELF()
	for n := range tiny {
		measure(t, fmt.Sprintf("tiny file cut to %d bytes", n), bytes.NewReader(tiny[:n]), int64(n), tinyHot, tinyCold)
		// The size was right when the file was opened; then it shrank.
		measure(t, fmt.Sprintf("tiny file shrunk to %d bytes", n), bytes.NewReader(tiny[:n]), int64(len(tiny)), tinyHot, tinyCold)
	}
	stripped, debug := build(t, t.TempDir(), "-Wl,--build-id")
	for _, path := range []string{stripped, debug} {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		img := imageOf(t, path)
		var cuts []uint64
		for _, s := range img.sects {
			cuts = append(cuts, s.off, s.off+s.size)
		}
		for _, s := range img.segs {
			cuts = append(cuts, s.off, s.off+s.filesz)
		}
		for at := uint64(len(raw)) - 64*uint64(len(img.sects)); at < uint64(len(raw)); at += 64 {
			cuts = append(cuts, at)
		}
		for _, at := range cuts {
			for n := max(at, 1) - 1; n <= at+1 && n <= uint64(len(raw)); n++ {
				measure(t, fmt.Sprintf("%s cut to %d bytes", path, n), bytes.NewReader(raw[:n]), int64(n), img.segs[0].vaddr)
			}
		}
	}
}

// TestMutatedELF damages files at random, always in the same way.
func TestMutatedELF(t *testing.T) {
	_, debug := build(t, t.TempDir(), "-Wl,--build-id")
	real, err := os.ReadFile(debug)
	if err != nil {
		t.Fatal(err)
	}
	interesting := []uint64{0, 1, 1 << 16, 1 << 31, 1<<32 - 1, 1 << 47, 1 << 63, ^uint64(0), tinySize, uint64(len(real))}
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range 6000 {
		raw := tinyELF()
		if n%3 == 0 {
			raw = bytes.Clone(real)
		}
		for range 1 + rnd.IntN(6) {
			at := rnd.IntN(len(raw) - 8)
			if rnd.IntN(2) == 0 { // the headers at the end are where it hurts
				at = len(raw) - 8 - rnd.IntN(min(len(raw)-8, 900))
			}
			if rnd.IntN(2) == 0 {
				raw[at] = byte(rnd.Uint32())
			} else {
				binary.LittleEndian.PutUint64(raw[at&^7:], interesting[rnd.IntN(len(interesting))])
			}
		}
		measure(t, fmt.Sprintf("mutation %d", n), bytes.NewReader(raw), int64(len(raw)), tinyHot, tinyCold, rnd.Uint64())
	}
}

// TestELFBombs: files that claim as much as they can, in the ways that would
// cost most. They are of a size that no test can hold: see bomb.
func TestELFBombs(t *testing.T) {
	for _, b := range bombs() {
		raw := b.build()
		spent, used := measure(t, b.name, b, b.size(), bombText, bombText+1<<20, bombText+5)
		t.Logf("%-40s %8v %3d MB, %d bytes of headers", b.name, spent.Round(time.Millisecond), used>>20, raw)
	}
}

// TestCompressedSections: what is compressed is refused before it is unpacked,
// in every section that is read.
func TestCompressedSections(t *testing.T) {
	img := tinyModule(t, tinyELF()).img
	for i := range img.sects {
		s := img.sects[i]
		s.flags |= elf.SHF_COMPRESSED
		left := uint64(1 << 30)
		_, err := img.data(&s, 1<<30)
		scanErr := img.scan(&s, &left, func(uint64, []byte, int) { t.Errorf("%q was read", s.name) })
		if !errors.Is(err, ErrMalformed) || !errors.Is(scanErr, ErrMalformed) {
			t.Errorf("%q: errors %v and %v, want ErrMalformed", s.name, err, scanErr)
		}
	}
}

// TestTablesOfAllFiles: what tables take is given back with the file.
func TestTablesOfAllFiles(t *testing.T) {
	before := allTables.Load()
	for range 64 {
		tinyModule(t, tinyELF()).functions()
	}
	deadline := time.Now().Add(20 * time.Second)
	for allTables.Load() > before && time.Now().Before(deadline) {
		runtime.GC()
	}
	if now := allTables.Load(); now > before {
		t.Errorf("%d bytes of tables are counted, before it were %d", now, before)
	}
	m := tinyModule(t, tinyELF())
	if err := m.img.hold(maxTables + 1); !errors.Is(err, ErrMalformed) {
		t.Errorf("a table above the bound: error %v, want ErrMalformed", err)
	}
	if err := errors.Join(m.img.hold(maxTables), m.img.hold(1)); !errors.Is(err, ErrMalformed) {
		t.Errorf("two tables above the bound: error %v, want ErrMalformed", err)
	}
}
