package collector

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestQuota(t *testing.T) {
	root := t.TempDir()
	inner := filepath.Join(root, "a.slice", "b")
	if err := errors.Join(os.MkdirAll(inner, 0o755),
		os.WriteFile(filepath.Join(root, "a.slice", "cpu.max"), []byte("150000 100000\n"), 0o644),
		os.WriteFile(filepath.Join(inner, "cpu.max"), []byte("max 100000\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	for own, want := range map[string]float64{
		"0::/a.slice/b\n": 1.5, "4:cpu:/x\n0::/a.slice\n": 1.5, "0::/\n": 0, "0::/../a.slice\n": 0, "": 0, "0::/absent\n": 0,
	} {
		if got := quotaOf(root, []byte(own)); got != want {
			t.Errorf("%q: %v, want %v", own, got, want)
		}
	}
	for text, want := range map[string]float64{"400000 100000": 4, "max 100000": 0, "": 0, "5 0": 0, "-5 5": 0, "x y": 0} {
		if got := parseQuota(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
