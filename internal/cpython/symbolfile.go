package cpython

import (
	"debug/elf"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path"
)

// Bounds of symbol files, in bytes: of any, and of those that must be read as a
// whole to be sure of them.
const (
	maxSymbolFile  = 512 << 20
	maxCheckedFile = 64 << 20
)

// debugDir is where distributions keep symbol files (GDB manual, "Separate Debug
// Files").
const debugDir = "/usr/lib/debug"

// symbolFile opens the file with the symbols that were stripped off the module,
// nil if there is none: where the process has it installed, else where we have.
func (m *module) symbolFile() (*os.File, *image) {
	return findSymbolFile(m.img, m.path, fmt.Sprintf("/proc/%d/root", m.pid), "/")
}

// findSymbolFile looks for the symbol file of a stripped file at path below each
// of the roots, and takes the first one that certainly belongs to it.
func findSymbolFile(stripped *image, file string, roots ...string) (*os.File, *image) {
	id := stripped.buildID()
	link, linked := stripped.debugLink()
	var paths []string
	if len(id) > 2 {
		paths = append(paths, fmt.Sprintf("%s/.build-id/%s/%s.debug", debugDir, id[:2], id[2:]))
	}
	if linked && path.IsAbs(file) {
		dir := path.Dir(file)
		paths = append(paths, path.Join(dir, link.name), path.Join(dir, ".debug", link.name), path.Join(debugDir, dir, link.name))
	}
	for _, root := range roots {
		for _, p := range paths {
			handle, err := findBelow(root, p)
			if err != nil {
				continue
			}
			f, st, err := openRegular(handle, p)
			if err != nil {
				continue
			}
			if img, ok := isSymbolFile(f, st.Size, id, link, linked); ok {
				return f, img
			}
			f.Close()
		}
	}
	return nil, nil
}

// isSymbolFile says whether f, of size bytes, belongs to the file with that
// build id, or, where one of them has none, to the one with that link.
func isSymbolFile(f io.ReaderAt, size int64, id string, link debugLink, linked bool) (*image, bool) {
	if size > maxSymbolFile {
		return nil, false
	}
	img, err := parseImage(f, size)
	if err != nil || img.stripped() {
		return nil, false
	}
	if its := img.buildID(); id != "" && its != "" {
		return img, its == id
	}
	return img, linked && size <= maxCheckedFile && hasChecksum(f, size, link.crc)
}

// hasChecksum says whether want is the CRC-32 of the file.
func hasChecksum(f io.ReaderAt, size int64, want uint32) bool {
	sum := crc32.NewIEEE()
	_, err := io.Copy(sum, io.NewSectionReader(f, 0, size))
	return err == nil && sum.Sum32() == want
}

// stripped says whether the file has no .symtab.
func (m *image) stripped() bool { return m.symbolSection(elf.SHT_SYMTAB) == nil }
