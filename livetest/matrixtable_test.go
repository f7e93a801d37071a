package livetest

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"gilscope/internal/testpy"
)

// The table stands between these lines; readme_test.go of the module's root
// holds it to testpy.Matrix.
const (
	tableBegin = "<!-- matrix -->\n"
	tableEnd   = "<!-- /matrix -->\n"
)

var tableHead = []string{"interpreter", "build", "`waits`, `full` by", "wait off by", "blame right", "`take_gil` by"}

// table is what `make matrix` writes: a row for each interpreter.
type table struct {
	interpreters []testpy.Interpreter
	rows         [][]string
}

// add adds the row of an interpreter, unless its test has failed.
func (t *table) add(tb testing.TB, in testpy.Interpreter, cells ...string) {
	if tb.Failed() {
		return
	}
	t.interpreters = append(t.interpreters, in)
	t.rows = append(t.rows, append([]string{in.Name}, cells...))
}

// write puts the table into a file, in the order of the matrix.
func (t *table) write(tb testing.TB, path string) {
	tb.Helper()
	text := line(tableHead) + "|" + strings.Repeat("---|", len(tableHead)) + "\n"
	for _, row := range testpy.Matrix {
		i := t.find(row)
		if i < 0 {
			tb.Fatalf("%s: the table needs a row for %s, which is not here: run '%s'", path, row.Name, row.Get)
		}
		text += line(t.rows[i])
	}
	file, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	before, rest, begun := strings.Cut(string(file), tableBegin)
	_, after, ended := strings.Cut(rest, tableEnd)
	if !begun || !ended {
		tb.Fatalf("%s has no lines %q and %q to write the table between", path, tableBegin, tableEnd)
	}
	if err := os.WriteFile(path, []byte(before+tableBegin+text+tableEnd+after), 0o644); err != nil {
		tb.Fatal(err)
	}
}

// find is the first interpreter of that row of the matrix, -1 if there is none.
func (t *table) find(row testpy.Row) int {
	for i, in := range t.interpreters {
		if row.Is(in) {
			return i
		}
	}
	return -1
}

func line(cells []string) string { return fmt.Sprintf("| %s |\n", strings.Join(cells, " | ")) }
