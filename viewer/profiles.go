package viewer

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"gilscope/analyze"
	"gilscope/internal/trace"
)

// ProfileType is one way to weigh stacks.
type ProfileType struct {
	Name   string // as on the command line
	Doc    string
	stacks func(*analyze.Timeline) []analyze.StackWeight
	needs  func(*analyze.Timeline) error // nil: always possible
}

// ProfileTypes are what export can make of a trace.
var ProfileTypes = []ProfileType{
	{"gil_wait", "time waited for the GIL, by the waiter's stack", (*analyze.Timeline).WaitStacks, nil},
	{"gil_blame", "time others waited, by the stack of the holder they waited for", (*analyze.Timeline).BlameStacks, nil},
	{"gil_hold", "time the GIL was held, by the holder's stack (detail full)", (*analyze.Timeline).HoldStacks, needHolds},
	{"cpu", "CPU samples", (*analyze.Timeline).CPUStacks, nil},
	{"lock_wait", "time waited for locks that threads hold, by the waiter's stack", (*analyze.Timeline).LockStacks, nil},
}

// ErrDetail says that the recording cannot answer at its level of detail.
var ErrDetail = errors.New("holds are recorded at detail full only")

func needHolds(tl *analyze.Timeline) error {
	for i := range tl.GILs {
		if tl.Full(tl.GILs[i].PID) {
			return nil
		}
	}
	return fmt.Errorf("profile gil_hold: %w; use --type gil_blame, or record again with --detail full", ErrDetail)
}

// ProfileNamed finds a type; the error lists what there is.
func ProfileNamed(name string) (ProfileType, error) {
	names := make([]string, len(ProfileTypes))
	for i, p := range ProfileTypes {
		if p.Name == name {
			return p, nil
		}
		names[i] = p.Name
	}
	return ProfileType{}, fmt.Errorf("no profile type %q; known are %s", name, strings.Join(names, ", "))
}

// weighted is a type's stacks of one trace.
func (p ProfileType) weighted(tl *analyze.Timeline) ([]analyze.StackWeight, error) {
	if p.needs != nil {
		if err := p.needs(tl); err != nil {
			return nil, err
		}
	}
	return p.stacks(tl), nil
}

// processLabels names the processes of a trace that has several, by pid; nil if it
// has one, which then needs no name.
func processLabels(t *trace.Trace) map[int32]string {
	if len(t.Processes) < 2 {
		return nil
	}
	labels := make(map[int32]string, len(t.Processes))
	for _, p := range t.Processes {
		labels[p.PID] = Safe(fmt.Sprintf("%s (%d)", cmp.Or(p.Name, "process"), p.PID))
	}
	return labels
}

// call is one level of a stack as profiles name it. All strings are Safe: tools
// print them to terminals as they are.
type call struct {
	name, file string
	line       int64
}

// calls is a stack, leaf first. A native leaf that a neighbouring sample lent is put below.
func calls(tl *analyze.Timeline, w analyze.StackWeight) []call {
	var out []call
	t := tl.Trace
	if int(w.Stack) < len(t.Stacks) {
		for _, id := range t.Stacks[w.Stack] {
			if int(id) < len(t.Frames) {
				out = append(out, frameCall(t, t.Frames[id]))
			}
		}
	}
	if native := tl.Sites[w.Site].Native; native != "" && !leafIsNative(t, w.Stack) {
		module, function, _ := strings.Cut(native, " ")
		out = append([]call{nativeCall(module, function, 0)}, out...)
	}
	return out
}

func leafIsNative(t *trace.Trace, id trace.StackID) bool {
	if int(id) >= len(t.Stacks) || len(t.Stacks[id]) == 0 {
		return false
	}
	leaf := t.Stacks[id][0]
	return int(leaf) < len(t.Frames) && t.Frames[leaf].Native()
}

func frameCall(t *trace.Trace, f trace.Frame) call {
	if f.Native() {
		return nativeCall(stringOf(t, f.Module), stringOf(t, f.Function), f.RelPC)
	}
	c := call{name: Safe(stringOf(t, f.Function)), file: Safe(stringOf(t, f.File)), line: int64(f.Line)}
	if c.name == "" {
		c.name = "?"
	}
	return c
}

func nativeCall(module, function string, pc uint64) call {
	c := call{name: Safe(function), file: Safe(module)}
	if c.name == "" {
		c.name = fmt.Sprintf("%s+%#x", Safe(module[strings.LastIndexByte(module, '/')+1:]), pc)
	}
	return c
}

func stringOf(t *trace.Trace, id trace.StringID) string {
	if int(id) >= len(t.Strings) {
		return ""
	}
	return t.Strings[id]
}

// Collapsed writes "thread;caller;...;leaf N" lines, as flame graph tools read
// them; the process comes before the thread where there are several. N is
// nanoseconds, or samples where a sample's time is not known.
func (p ProfileType) Collapsed(w io.Writer, tl *analyze.Timeline) error {
	stacks, err := p.weighted(tl)
	if err != nil {
		return err
	}
	sums, labels := map[string]int64{}, processLabels(tl.Trace)
	for _, s := range stacks {
		th := &tl.Threads[s.Thread]
		var line []string
		if process, ok := labels[th.PID]; ok {
			line = append(line, separators.Replace(process))
		}
		line = append(line, separators.Replace(party(analyze.Party{TID: &th.TID, Name: Safe(th.Name)})))
		for _, c := range slices.Backward(calls(tl, s)) {
			line = append(line, separators.Replace(c.label()))
		}
		weight := s.NS
		if weight == 0 {
			weight = s.Count
		}
		sums[strings.Join(line, ";")] += weight
	}
	lines := make([]string, 0, len(sums))
	for stack, n := range sums {
		lines = append(lines, fmt.Sprintf("%s %d\n", stack, n))
	}
	slices.Sort(lines)
	_, err = io.WriteString(w, strings.Join(lines, ""))
	return err
}

// separators are what the collapsed form uses itself.
var separators = strings.NewReplacer(";", ":", "\n", " ")

func (c call) label() string {
	switch {
	case c.file == "":
		return c.name
	case c.line == 0:
		return fmt.Sprintf("%s (%s)", c.name, shortPath(c.file))
	}
	return fmt.Sprintf("%s (%s:%d)", c.name, shortPath(c.file), c.line)
}
