package analyze

import (
	"cmp"
	"slices"

	"gilscope/internal/trace"
)

var processesAnalyzer = Analyzer{
	Name: "processes",
	Doc: "The processes of the recording: how each was started and by whom, its interpreter as it was last told (a forked child has " +
		"its parent's), how it ended, and how many children it started that were not recorded. Parents come before their children, " +
		"children in order of their start.",
	Run: runProcesses,
}

func runProcesses(tl *Timeline, r *Report) {
	rows := make([]Process, 0, len(tl.Trace.Processes))
	for _, p := range tl.Trace.Processes {
		rows = append(rows, tl.processRow(p))
	}
	r.Processes = inFamilies(rows)
	// A fork that came before its parent's interpreter was found could not inherit it then.
	known := make(map[int32]*Python, len(rows))
	for i := range r.Processes {
		p := &r.Processes[i]
		if p.Python == nil && p.ParentPID != nil && tl.facts[p.PID] != nil && tl.facts[p.PID].copied() {
			p.Python = known[*p.ParentPID]
		}
		known[p.PID] = p.Python
	}
}

func (tl *Timeline) processRow(p trace.Process) Process {
	row := Process{PID: p.PID, ParentPID: known(p.PPID), Name: known(p.Name)}
	f := tl.facts[p.PID]
	if f == nil {
		return row
	}
	row.ChildrenNotRecorded = f.children
	if f.started != nil {
		since := int64(f.since)
		row.StartedNS, row.StartMethod, row.Role = &since, known(text(*f.started, "method")), known(text(*f.started, "role"))
		if parent := f.parent(); parent != 0 {
			row.ParentPID = &parent
		}
	}
	if f.target != nil {
		row.python(f)
	}
	if f.exit != nil {
		code, _ := number(*f.exit, "code")
		signal, _ := number(*f.exit, "signal")
		row.Exit = &Exit{Code: code, Signal: signal}
	}
	return row
}

func (row *Process) python(f *facts) {
	n := *f.target
	row.Python = &Python{GILChanges: []GILChange{},
		Version: text(n, "python"), FreeThreaded: yes(n, "free_threaded"), GILEnabled: yes(n, "gil_enabled"),
		Stripped: yes(n, "stripped"), Linkage: known(text(n, "linkage")), Libc: known(text(n, "libc")),
	}
	// The number in its own namespace is not inherited.
	if pid, ok := number(n, "ns_pid"); ok && !f.inherited && int32(pid) != row.PID {
		row.NSPID = known(int32(pid))
	}
}

// inFamilies puts parents before their children, children in order of start
// (those that ran before come first, as in the trace). Parents that form a
// circle, which only a forged file can have, are broken up where they begin.
func inFamilies(rows []Process) []Process {
	at := make(map[int32]int, len(rows))
	order := make([]int, len(rows))
	for i := range rows {
		at[rows[i].PID] = i
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(rows[x].since(), rows[y].since()) })
	children := make([][]int, len(rows))
	var roots []int
	for _, i := range order {
		if p := rows[i].ParentPID; p != nil && *p != rows[i].PID {
			if parent, ok := at[*p]; ok {
				children[parent] = append(children[parent], i)
				continue
			}
		}
		roots = append(roots, i)
	}
	out := make([]Process, 0, len(rows))
	done := make([]bool, len(rows))
	for _, first := range append(roots, order...) {
		for todo := []int{first}; len(todo) > 0; {
			i := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if done[i] {
				continue
			}
			done[i] = true
			out = append(out, rows[i])
			for _, child := range slices.Backward(children[i]) {
				todo = append(todo, child)
			}
		}
	}
	return out
}

// since is when the process started; what ran before the recording comes first.
func (p *Process) since() int64 {
	if p.StartedNS == nil {
		return int64(noTime)
	}
	return *p.StartedNS
}
