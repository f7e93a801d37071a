package main

import (
	"fmt"
	"os"
	"strings"

	"gilscope/internal/testkernel"
)

// The table stands between these lines.
const (
	tableBegin = "<!-- kernels -->\n"
	tableEnd   = "<!-- /kernels -->\n"
)

// row is one of the table.
type row struct {
	kernel  kernel
	verdict verdict
}

// columns are the steps that the table tells of.
var columns = []struct{ step, head string }{
	{testkernel.Waits, "`waits`"},
	{testkernel.Doctor, "`full` by"},
	{testkernel.Full, "`full`"},
	{testkernel.Follow, "`full`, children"},
	{testkernel.Contain, "`waits`, container"},
	{testkernel.Loops, "event loops"},
}

// table is the rows in Markdown.
func table(rows []row) string {
	head := "| kernel |"
	for _, c := range columns {
		head += " " + c.head + " |"
	}
	text := head + " result |\n" + strings.Repeat("|---", len(columns)+2) + "|\n"
	for _, r := range rows {
		text += fmt.Sprintf("| %s (%s) |", r.verdict.release, r.kernel.name)
		for _, c := range columns {
			text += " " + r.verdict.cells[c.step] + " |"
		}
		text += " " + r.result() + " |\n"
	}
	return text
}

// result is what came of a kernel.
func (r row) result() string {
	switch {
	case r.verdict.err != nil:
		return "fails"
	case r.kernel.refused:
		return "refused, as it must be"
	}
	return "works"
}

// write puts the table into a file.
func write(path string, rows []row) error {
	file, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begun := strings.Cut(string(file), tableBegin)
	_, after, ended := strings.Cut(rest, tableEnd)
	if !begun || !ended {
		return fmt.Errorf("%s has no lines %q and %q to write the table between", path, tableBegin, tableEnd)
	}
	return os.WriteFile(path, []byte(before+tableBegin+table(rows)+tableEnd+after), 0o644)
}
