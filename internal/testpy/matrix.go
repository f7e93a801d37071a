package testpy

import (
	"fmt"
	"slices"
)

// Row is one row of the Matrix.
type Row struct {
	Name string // kind and version, the latter as far as it matters: the rest moves with its source
	Get  string // the command that gets it
}

const (
	pyenvInstall = "pyenv install " // and the version
	makePythons  = "make pythons"
)

// Matrix is every interpreter that the tests must have had before a change may
// be called tested. CI fails without one of them.
var Matrix = []Row{
	{"pyenv-3.6", pyenvInstall + "3.6"},
	{"pyenv-3.7", pyenvInstall + "3.7"},
	{"pyenv-3.8", pyenvInstall + "3.8"},
	{"pyenv-3.9", pyenvInstall + "3.9"},
	{"pyenv-3.10", pyenvInstall + "3.10"},
	{"pyenv-3.11", pyenvInstall + "3.11"},
	{"pyenv-3.12", pyenvInstall + "3.12"},
	{"pyenv-3.13", pyenvInstall + "3.13"},
	{"debian-3.11", "apt-get install python3.11"},
	{"standalone-3.10.16", makePythons},
	{"standalone-3.11.11", makePythons},
	{"standalone-3.14.6", makePythons},
	{"debian-3.13", makePythons},
	{"debian-3.14", makePythons},
	{"debian-3.15", makePythons},
	{"embedded-3.12", makePythons},
	{"freethreaded-3.13", makePythons},
	{"freethreaded-gil-3.13", makePythons},
}

// Is says whether an interpreter is the one of the row.
func (r Row) Is(i Interpreter) bool { return i.named(r.Name) }

// missingRows says which rows are not among all, and how to get each.
func missingRows(all []Interpreter) []string {
	var missing []string
	for _, row := range Matrix {
		if !slices.ContainsFunc(all, row.Is) {
			missing = append(missing, fmt.Sprintf("%s: run '%s'", row.Name, row.Get))
		}
	}
	return missing
}
