package collector

import (
	"os"
	"path/filepath"
	"testing"
)

// TestMemoryRoom: the tightest of the groups around us counts; pages of files do not.
func TestMemoryRoom(t *testing.T) {
	mount := t.TempDir()
	write := func(dir string, files map[string]string) {
		dir = filepath.Join(mount, dir)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("", nil) // the root has no limit
	write("a", map[string]string{"memory.max": "100000000\n", "memory.current": "90000000\n", "memory.stat": "anon 60000000\ninactive_file 20000000\nactive_file 5000000\n"})
	write("a/b", map[string]string{"memory.max": "max\n", "memory.current": "5\n"})
	write("a/b/full", map[string]string{"memory.max": "10\n", "memory.current": "20\n"})
	write("v1", map[string]string{"memory.max": "9223372036854771712\n", "memory.current": "5\n"})
	c := memoryControllers[0]
	c.mount = mount
	for group, want := range map[string]int64{
		"/": -1, "/a": 35e6, "/a/b": 35e6, "/a/b/full": 0, "/v1": -1, "/gone/far": -1, "/../a": 35e6, "": -1,
	} {
		if got := c.room(group); got != want {
			t.Errorf("%q leaves %d, want %d", group, got, want)
		}
	}
}

func TestRingFits(t *testing.T) {
	for _, c := range []struct {
		want int
		room int64
		fits int
	}{
		{16 << 20, 1 << 40, 16 << 20}, {64 << 20, 64e6, 16 << 20}, {16 << 20, 32e6, 8 << 20}, {16 << 20, 20e6, 2 << 20},
		{16 << 20, 16e6, 1 << 20}, {1 << 20, 0, 1 << 20},
	} {
		if got := fitting(c.want, c.room); got != c.fits {
			t.Errorf("of a ring of %d with room for %d, %d fit; want %d", c.want, c.room, got, c.fits)
		}
	}
}
