package gilscope_test

import (
	"os"
	"strings"
	"testing"

	"gilscope/internal/testpy"
)

// TestTableOfInterpreters: README has a row for each interpreter of the matrix,
// in its order, written by `make matrix`.
func TestTableOfInterpreters(t *testing.T) {
	file, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, begun := strings.Cut(string(file), "<!-- matrix -->\n")
	table, _, ended := strings.Cut(rest, "<!-- /matrix -->\n")
	rows := strings.Split(strings.TrimSpace(table), "\n")
	if !begun || !ended || len(rows) != len(testpy.Matrix)+2 {
		t.Fatalf("README.md: the table of interpreters has %d lines, want a head and %d rows; run 'make matrix'", len(rows), len(testpy.Matrix))
	}
	for i, want := range testpy.Matrix {
		cells := strings.Split(rows[i+2], "|")
		if len(cells) < 2 || !strings.HasPrefix(strings.TrimSpace(cells[1]), want.Name) {
			t.Errorf("README.md: row %d is %q, want %s; run 'make matrix'", i+1, rows[i+2], want.Name)
		}
	}
}
