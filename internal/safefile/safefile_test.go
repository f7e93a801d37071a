package safefile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// open is one way to write "new" to a path.
type open struct {
	name  string
	write func(path string) error
}

var ways = []open{
	{"Write", func(path string) error {
		return Write(path, func(w io.Writer) error { _, err := io.WriteString(w, "new"); return err })
	}},
	{"Create", func(path string) error {
		f, err := Create(path)
		if err != nil {
			return err
		}
		_, err = f.WriteString("new")
		return errors.Join(err, f.Close())
	}},
}

func noSudo(t *testing.T) {
	t.Helper()
	t.Setenv("SUDO_UID", "")
	t.Setenv("SUDO_GID", "")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRegularFile(t *testing.T) {
	noSudo(t)
	for _, way := range ways {
		for _, before := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/exists=%v", way.name, before), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "out")
				if before {
					must(t, os.WriteFile(path, []byte("older and longer"), 0o644))
				}
				must(t, way.write(path))
				got, err := os.ReadFile(path)
				must(t, err)
				st, err := os.Stat(path)
				must(t, err)
				if string(got) != "new" || st.Mode().Perm() != 0o600 {
					t.Fatalf("got %q, mode %v", got, st.Mode())
				}
				if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
					t.Fatalf("left behind: %v", left)
				}
			})
		}
	}
}

func TestRefused(t *testing.T) {
	noSudo(t)
	cases := map[string]func(t *testing.T, dir, path string){
		"symlink": func(t *testing.T, dir, path string) { must(t, os.Symlink(filepath.Join(dir, "victim"), path)) },
		"dangling symlink": func(t *testing.T, dir, path string) {
			must(t, os.Symlink(filepath.Join(dir, "absent"), path))
		},
		"pipe":      func(t *testing.T, _, path string) { must(t, syscall.Mkfifo(path, 0o600)) },
		"socket":    func(t *testing.T, _, path string) { must(t, syscall.Mknod(path, syscall.S_IFSOCK|0o600, 0)) },
		"directory": func(t *testing.T, _, path string) { must(t, os.Mkdir(path, 0o700)) },
		"open directory": func(t *testing.T, dir, _ string) {
			must(t, os.Chmod(dir, 0o777))
		},
	}
	for name, plant := range cases {
		for _, way := range ways {
			t.Run(name+"/"+way.name, func(t *testing.T) {
				dir := t.TempDir()
				victim, path := filepath.Join(dir, "victim"), filepath.Join(dir, "out")
				must(t, os.WriteFile(victim, []byte("precious"), 0o600))
				plant(t, dir, path)
				if err := way.write(path); !errors.Is(err, ErrRefused) {
					t.Fatalf("got %v, want ErrRefused", err)
				}
				if got, _ := os.ReadFile(victim); string(got) != "precious" {
					t.Fatalf("victim is now %q", got)
				}
				if _, err := os.Lstat(filepath.Join(dir, "absent")); err == nil {
					t.Fatal("the link's target was created")
				}
			})
		}
	}
}

func TestCreateRefusesSecondName(t *testing.T) {
	noSudo(t)
	dir := t.TempDir()
	victim, path := filepath.Join(dir, "victim"), filepath.Join(dir, "out")
	must(t, os.WriteFile(victim, []byte("precious"), 0o600))
	must(t, os.Link(victim, path))
	if f, err := Create(path); !errors.Is(err, ErrRefused) {
		t.Fatalf("got %v, %v", f, err)
	}
	if got, _ := os.ReadFile(victim); string(got) != "precious" {
		t.Fatalf("victim is now %q", got)
	}
}

func TestWriteKeepsTheOldOnFailure(t *testing.T) {
	noSudo(t)
	path := filepath.Join(t.TempDir(), "out")
	must(t, os.WriteFile(path, []byte("old"), 0o600))
	fail := errors.New("no more data")
	err := Write(path, func(w io.Writer) error {
		_, _ = io.WriteString(w, "half")
		return fail
	})
	if !errors.Is(err, fail) {
		t.Fatalf("got %v", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "old" {
		t.Fatalf("got %q", got)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Fatalf("left behind: %v", left)
	}
}

// TestSudo needs root, as the program under sudo has it.
func TestSudo(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("needs root: sudo go test ./internal/safefile")
	}
	t.Setenv("SUDO_UID", "65534")
	t.Setenv("SUDO_GID", "65534")
	for _, way := range ways {
		path := filepath.Join(t.TempDir(), "out")
		for range 2 { // the second time over a file that is the user's already
			must(t, way.write(path))
			st, err := os.Stat(path)
			must(t, err)
			if own := st.Sys().(*syscall.Stat_t); own.Uid != 65534 || own.Gid != 65534 {
				t.Fatalf("%s: belongs to %d:%d", way.name, own.Uid, own.Gid)
			}
		}
		must(t, os.Chown(path, 1234, 1234))
		if _, err := Create(path); !errors.Is(err, ErrRefused) {
			t.Fatalf("over a stranger's file: %v", err)
		}
	}
}

func TestOddNames(t *testing.T) {
	noSudo(t)
	for _, path := range []string{"", ".", "..", "/", t.TempDir() + "/absent/out"} {
		for _, way := range ways {
			if err := way.write(path); err == nil {
				t.Errorf("%s(%q) worked", way.name, path)
			}
		}
	}
}
