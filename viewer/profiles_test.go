package viewer

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/pprof/profile"

	"gilscope/analyze"
)

func TestPprofSums(t *testing.T) {
	for _, c := range []struct {
		trace, kind string
		count, ns   int64
	}{
		{"hog", "gil_wait", 6, 300_000_000},
		{"hog", "gil_blame", 6, 300_000_000},
		{"full", "gil_wait", 1, 5_080_000},
		{"full", "gil_hold", 4, 15_049_900 + 1_000_000 + 33_910_000 + 10_000_000},
	} {
		kind, err := ProfileNamed(c.kind)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := kind.Pprof(&out, analyze.Build(load(t, c.trace))); err != nil {
			t.Fatal(err)
		}
		p, err := profile.Parse(&out)
		if err != nil {
			t.Fatal(err)
		}
		var count, ns int64
		for _, s := range p.Sample {
			count, ns = count+s.Value[0], ns+s.Value[1]
		}
		if count != c.count || ns != c.ns || p.DefaultSampleType != c.kind {
			t.Errorf("%s of %s: %d, %d ns, default %q", c.kind, c.trace, count, ns, p.DefaultSampleType)
		}
	}
}

// A profile says itself how far it can be trusted.
func TestPprofComments(t *testing.T) {
	for trace, want := range map[string]string{"hostile": "5 events lost", "hog": ""} {
		kind, err := ProfileNamed("gil_wait")
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := kind.Pprof(&out, analyze.Build(load(t, trace))); err != nil {
			t.Fatal(err)
		}
		p, err := profile.Parse(&out)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(p.Comments, " "); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: comments %q, want %q in them", trace, got, want)
		}
	}
}

func TestPprofTool(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blame.pb.gz")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	kind, err := ProfileNamed("gil_blame")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(kind.Pprof(f, analyze.Build(load(t, "hog"))), f.Close()); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "tool", "pprof", "-top", path)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "GOCACHE="+goEnv(t, "GOCACHE"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"Type: gil_blame", "300ms", "usleep", "crunch"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func TestProfileNeedsItsDetail(t *testing.T) {
	kind, err := ProfileNamed("gil_hold")
	if err != nil {
		t.Fatal(err)
	}
	tl := analyze.Build(load(t, "hog"))
	if err := kind.Pprof(&bytes.Buffer{}, tl); !errors.Is(err, ErrDetail) {
		t.Errorf("pprof: %v", err)
	}
	if err := kind.Collapsed(&bytes.Buffer{}, tl); !errors.Is(err, ErrDetail) {
		t.Errorf("collapsed: %v", err)
	}
	if _, err := ProfileNamed("heap"); err == nil || !strings.Contains(err.Error(), "gil_blame") {
		t.Errorf("unknown type: %v", err)
	}
}
