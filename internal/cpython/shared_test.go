package cpython

import (
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestSharedWords: a file that is mapped twice has its words at two addresses, which are one
// place; other memory is none.
func TestSharedWords(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "shared"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	page := os.Getpagesize()
	if err := f.Truncate(int64(2 * page)); err != nil {
		t.Fatal(err)
	}
	var at [3]uint64
	for i, m := range []struct{ offset, how int }{{0, unix.MAP_SHARED}, {page, unix.MAP_SHARED}, {page, unix.MAP_PRIVATE}} {
		b, err := unix.Mmap(int(f.Fd()), int64(m.offset), 2*page-m.offset, unix.PROT_READ|unix.PROT_WRITE, m.how)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Munmap(b)
		at[i] = uint64(uintptr(unsafe.Pointer(&b[0])))
	}
	maps, err := SharedMappings(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	first, ok := FindShared(maps, at[0]+uint64(page)+64)
	second, also := FindShared(maps, at[1]+64)
	if !ok || !also || first != second || first.Offset != uint64(page)+64 || first.Inode == 0 {
		t.Errorf("%+v %v and %+v %v, want one place", first, ok, second, also)
	}
	if word, ok := FindShared(maps, at[2]); ok {
		t.Errorf("private memory is %+v", word)
	}
	if word, ok := FindShared(maps, at[0]); !ok || word == first {
		t.Errorf("another page is %+v", word)
	}
}
