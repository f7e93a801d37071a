package oracle

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Row is one row of a result by column name; a value is nil, int64, float64 or string (a blob is "0x" and hex digits).
type Row map[string]any

// Stat is one counter of the trace processor that is not zero; the values of indexed counters are added up.
type Stat struct {
	Name     string
	Severity string // info, data_loss or error
	Value    int64
}

// Request is what to ask about a trace in one start of the trace processor (0.8 s).
type Request struct {
	Packages map[string]map[string]string `json:"packages"` // SQL modules to register: package -> module -> text
	SQL      []string                     `json:"sql"`
}

// Answer is what the trace processor said.
type Answer struct {
	Version string // of Perfetto, e.g. "v52.0-6b9586def"
	Stats   []Stat
	Tables  [][]Row // one per SQL
}

type table struct {
	Columns []string
	Rows    [][]any
	Error   string
}

// lossStats are of severity info, yet packets or names were lost.
var lossStats = []string{"tokenizer_skipped_packets", "interned_data_tokenizer_errors"}

// Ask loads a trace into the trace processor and runs all SQL. It fails the test if the trace does not load or a
// statement does not run.
func Ask(t testing.TB, trace string, request Request) Answer {
	t.Helper()
	var raw struct {
		Version string
		Stats   table
		Results []table
	}
	trace, err := filepath.Abs(trace)
	if err != nil {
		t.Fatalf("oracle: %v", err)
	}
	if err := run(t, &raw, request, "query.mjs", Open(t).ui, trace); err != nil {
		t.Fatalf("oracle: query %s: %v", trace, err)
	}
	answer := Answer{Version: raw.Version}
	for _, row := range raw.Stats.mustRows(t) {
		name, _ := row["name"].(string)
		severity, _ := row["severity"].(string)
		value, _ := row["value"].(int64)
		answer.Stats = append(answer.Stats, Stat{name, severity, value})
	}
	for _, result := range raw.Results {
		answer.Tables = append(answer.Tables, result.mustRows(t))
	}
	return answer
}

// Query runs one SQL text on a trace and returns the rows of its last statement.
func Query(t testing.TB, trace, sql string) []Row {
	t.Helper()
	return Ask(t, trace, Request{SQL: []string{sql}}).Tables[0]
}

// Check fails the test unless the trace imports cleanly: no stat of severity error or data_loss, no skipped packet and no
// lost name. Stats named in allow may occur: "unknown_extension_fields" is what this Perfetto says of event callstacks.
func Check(t testing.TB, trace string, allow ...string) {
	t.Helper()
	for _, problem := range Ask(t, trace, Request{}).Problems(allow...) {
		t.Errorf("oracle: %s does not import cleanly: %s", trace, problem)
	}
}

// Problems lists the stats that mean a trace did not import cleanly, without those allowed by name.
func (a Answer) Problems(allow ...string) []string {
	var problems []string
	for _, s := range a.Stats {
		bad := s.Severity == "error" || s.Severity == "data_loss" || slices.Contains(lossStats, s.Name)
		if bad && !slices.Contains(allow, s.Name) {
			problems = append(problems, fmt.Sprintf("%s (%s) = %d", s.Name, s.Severity, s.Value))
		}
	}
	return problems
}

func (r table) mustRows(t testing.TB) []Row {
	t.Helper()
	if r.Error != "" {
		t.Fatalf("oracle: %s", r.Error)
	}
	rows := make([]Row, 0, len(r.Rows))
	for _, cells := range r.Rows {
		row := Row{}
		for i, column := range r.Columns {
			v, err := value(cells[i])
			if err != nil {
				t.Fatalf("oracle: column %s: %v", column, err)
			}
			row[column] = v
		}
		rows = append(rows, row)
	}
	return rows
}

// value turns a JSON number into int64 or float64: query.mjs gives every float a point or an exponent.
func value(cell any) (any, error) {
	number, ok := cell.(json.Number)
	if !ok {
		return cell, nil
	}
	if strings.ContainsAny(number.String(), ".e") {
		return number.Float64()
	}
	return number.Int64()
}
