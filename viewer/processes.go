package viewer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gilscope/analyze"
)

// several says that a report is about more than one process, which then are named.
func several(r *analyze.Report) bool {
	if len(r.Processes) > 1 {
		return true
	}
	for i := range r.GIL {
		if r.GIL[i].PID != r.GIL[0].PID {
			return true
		}
	}
	return false
}

// processes is "1 process" or "3 processes".
func processes(n int64) string {
	if n == 1 {
		return "1 process"
	}
	return fmt.Sprintf("%d processes", n)
}

// processName names a process where a sentence needs it.
func processName(r *analyze.Report, pid int32) string {
	for i := range r.Processes {
		if p := &r.Processes[i]; p.PID == pid && p.Name != nil {
			return fmt.Sprintf("process %d (%s)", pid, *p.Name)
		}
	}
	return fmt.Sprintf("process %d", pid)
}

// processRow is a row of the table of processes.
type processRow struct {
	*analyze.Process
	level   int // of indentation: how many ancestors are in the table
	waitNS  int64
	threads int64
	known   bool // whether anything about a GIL is
}

// maxLevel bounds the indentation.
const maxLevel = 8

// processRows are the processes that waited longest and their ancestors, in the
// order of the report, which is that of a tree; and how many others there are and
// waited for how long.
func processRows(r *analyze.Report, top int) (rows []processRow, more, moreNS int64) {
	all, at := countedProcesses(r)
	shown := chosen(all, at, top)
	below := make(map[int32]int, len(all)) // level of a process's children
	for i := range all {
		row := &all[i]
		if p := row.ParentPID; p != nil {
			row.level = below[*p] // parents come first
		}
		below[row.PID] = row.level
		if !shown[i] {
			more++
			moreNS += row.waitNS
			continue
		}
		rows = append(rows, *row)
		below[row.PID] = min(row.level+1, maxLevel)
	}
	return rows, more, moreNS
}

// countedProcesses are all rows, and where each process stands among them.
func countedProcesses(r *analyze.Report) ([]processRow, map[int32]int) {
	all := make([]processRow, len(r.Processes))
	at := make(map[int32]int, len(r.Processes))
	for i := range r.Processes {
		all[i] = processRow{Process: &r.Processes[i], known: r.Processes[i].Python != nil}
		at[r.Processes[i].PID] = i
	}
	for i := range r.GIL {
		if k, ok := at[r.GIL[i].PID]; ok {
			all[k].waitNS += r.GIL[i].WaitNS
			all[k].known = true
		}
	}
	for i := range r.Threads {
		if k, ok := at[r.Threads[i].PID]; ok {
			all[k].threads++
		}
	}
	return all, at
}

// chosen says which rows to show: the top ones that waited longest, and as many
// at most of those that they descend from.
func chosen(all []processRow, at map[int32]int, top int) []bool {
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(all[y].waitNS, all[x].waitNS) })
	shown := make([]bool, len(all))
	order = order[:min(top, len(order))]
	for _, i := range order {
		shown[i] = true
	}
	room := top
	for _, i := range order {
		for room > 0 && all[i].ParentPID != nil {
			parent, ok := at[*all[i].ParentPID]
			if !ok || parent >= i || shown[parent] { // parents come first, but in a forged circle
				break
			}
			i, shown[parent] = parent, true
			room--
		}
	}
	return shown
}

// processTable shows several processes as a tree.
func (p *page) processTable(r *analyze.Report, top int) {
	p.line("")
	p.line("Processes")
	p.line("  %9s  %7s  %-9s  %-10s  %-9s  %s", "GIL wait", "threads", "python", "started", "exit", "process")
	rows, more, moreNS := processRows(r, top)
	for _, row := range rows {
		p.line("  %9s  %7d  %-9s  %-10s  %-9s  %s%d %s", row.wait(), row.threads, version(row.Python), word(row.StartMethod),
			row.end(), strings.Repeat("  ", row.level), row.PID, row.about())
	}
	if more > 0 {
		p.line("  and %s", rest(processes(more), "more ", moreNS))
	}
}

// rest is "3 more processes, which waited 5 ms"; what was not waited is not told.
func rest(counted, more string, ns int64) string {
	n, what, _ := strings.Cut(counted, " ")
	s := n + " " + more + what
	if ns > 0 {
		s += ", which waited " + duration(ns)
	}
	return s
}

// wait is for how long the process's threads waited, or why nothing is to be told.
func (row *processRow) wait() string {
	switch {
	case noGIL(row.Python) && row.waitNS == 0:
		return "no GIL"
	case !row.known:
		return unknown
	}
	return duration(row.waitNS)
}

func (row *processRow) end() string {
	switch e := row.Exit; {
	case e == nil:
		return unknown
	case e.Signal != 0:
		return fmt.Sprintf("signal %d", e.Signal)
	default:
		return fmt.Sprintf("code %d", e.Code)
	}
}

// about is a process's name, and what is special about it.
func (row *processRow) about() string {
	s := word(row.Name)
	if row.Role != nil {
		s += ", " + *row.Role
	}
	if row.NSPID != nil {
		s += fmt.Sprintf(", pid %d inside its namespace", *row.NSPID)
	}
	return s + freeThreaded(row.Python, row.waitNS > 0)
}

// version is the version of the interpreter; a t says that it is free-threaded, as
// in the names of its files.
func version(py *analyze.Python) string {
	switch {
	case py == nil || py.Version == "":
		return unknown
	case py.FreeThreaded != nil && *py.FreeThreaded:
		return py.Version + "t"
	}
	return py.Version
}

func word(s *string) string {
	if s == nil {
		return unknown
	}
	return *s
}

// noGIL says that the interpreter runs without a GIL.
func noGIL(py *analyze.Python) bool { return py != nil && py.GILEnabled != nil && !*py.GILEnabled }

// freeThreaded says what a free-threaded build does about its GIL; "" for others.
// One that was off can come on when a module is imported that needs it.
func freeThreaded(py *analyze.Python, waited bool) string {
	switch {
	case noGIL(py) && waited:
		return ", free-threaded, GIL on at times"
	case noGIL(py):
		return ", free-threaded, GIL off"
	case py == nil || py.FreeThreaded == nil || !*py.FreeThreaded:
		return ""
	case py.GILEnabled == nil:
		return ", free-threaded"
	}
	return ", free-threaded with its GIL on"
}

// processLine tells of the only process.
func (p *page) processLine(r *analyze.Report) {
	proc, s := &r.Processes[0], ", interpreter not known"
	if py := proc.Python; py != nil {
		rows, _, _ := processRows(r, 1)
		s = ", Python " + py.Version + freeThreaded(py, rows[0].waitNS > 0)
	}
	if proc.NSPID != nil {
		s += fmt.Sprintf(", pid %d inside its namespace", *proc.NSPID)
	}
	switch e := proc.Exit; {
	case e == nil:
	case e.Signal != 0:
		s += fmt.Sprintf(", ended by signal %d", e.Signal)
	default:
		s += fmt.Sprintf(", exit code %d", e.Code)
	}
	p.line("process   %d%s", proc.PID, s)
}

// notRecorded says how many children are missing; "" if none is.
func notRecorded(r *analyze.Report) string {
	var n int64
	for i := range r.Processes {
		n += r.Processes[i].ChildrenNotRecorded
	}
	switch n {
	case 0:
		return ""
	case 1:
		return "1 child process was not recorded (record with --follow)"
	}
	return fmt.Sprintf("%d child processes were not recorded (record with --follow)", n)
}
