package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestPlace: a thing is there whole or not at all, and is made once.
func TestPlace(t *testing.T) {
	f := &fetcher{dir: t.TempDir()}
	fill := func(temp string) error { return os.WriteFile(filepath.Join(temp, "file"), nil, 0o600) }
	broken := errors.New("broken")

	err := f.place("thing", func(temp string) error { return errors.Join(fill(temp), broken) })
	left, _ := os.ReadDir(f.dir)
	if !errors.Is(err, broken) || len(left) != 0 {
		t.Errorf("a failure gave error %v and left %v", err, left)
	}
	if err := f.place("thing", fill); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(f.dir, "thing/file")); err != nil {
		t.Error(err)
	}
	err = f.place("thing", func(string) error { return broken })
	left, _ = os.ReadDir(f.dir)
	if err != nil || len(left) != 1 {
		t.Errorf("made twice: error %v, folder %v", err, left)
	}
}

// TestUnpack: the list of files comes with the files; it must not write
// elsewhere.
func TestUnpack(t *testing.T) {
	data := t.TempDir()
	for _, list := range []string{
		`{"files": [{"name": "../outside", "perm": 420}]}`,
		`{"files": [{"name": "/outside", "perm": 420}]}`,
		`{"files": [{"name": "missing", "perm": 420}]}`,
		`{`,
	} {
		if err := os.WriteFile(filepath.Join(data, "files.json"), []byte(list), 0o600); err != nil {
			t.Fatal(err)
		}
		target := t.TempDir()
		if err := unpack(data, target); err == nil {
			t.Errorf("unpacked %s", list)
		}
		if left, _ := os.ReadDir(target); len(left) != 0 {
			t.Errorf("%s left %v", list, left)
		}
	}
}
