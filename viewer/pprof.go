package viewer

import (
	"fmt"
	"io"

	"github.com/google/pprof/profile"

	"gilscope/analyze"
)

// Pprof writes the stacks as a gzipped profile of github.com/google/pprof, with
// the thread as a label of each sample, and the process where there are several.
// Its comments are the doubts there are about the recording.
func (p ProfileType) Pprof(w io.Writer, tl *analyze.Timeline) error {
	stacks, err := p.weighted(tl)
	if err != nil {
		return err
	}
	b := pprofBuilder{
		functions: map[call]*profile.Function{}, locations: map[call]*profile.Location{}, processes: processLabels(tl.Trace),
		prof: &profile.Profile{
			SampleType:    []*profile.ValueType{{Type: p.Name + "_count", Unit: "count"}, {Type: p.Name, Unit: "nanoseconds"}},
			DurationNanos: tl.NS(),
			Comments:      Doubts(tl.Report()),
		},
	}
	b.prof.DefaultSampleType = p.Name
	timed := false
	for _, s := range stacks {
		b.sample(tl, s)
		timed = timed || s.NS > 0
	}
	if !timed && len(stacks) > 0 {
		// CPU samples without a known rate: a column of zeros would read as "no time".
		b.countsOnly(p.Name)
	}
	if err := b.prof.CheckValid(); err != nil {
		return fmt.Errorf("build the %s profile: %w", p.Name, err)
	}
	return b.prof.Write(w)
}

type pprofBuilder struct {
	prof      *profile.Profile
	functions map[call]*profile.Function
	locations map[call]*profile.Location
	processes map[int32]string
}

func (b *pprofBuilder) sample(tl *analyze.Timeline, s analyze.StackWeight) {
	th := &tl.Threads[s.Thread]
	sample := &profile.Sample{
		Value: []int64{s.Count, s.NS},
		Label: map[string][]string{"thread": {party(analyze.Party{TID: &th.TID, Name: Safe(th.Name)})}},
		NumLabel: map[string][]int64{
			"pid": {int64(th.PID)}, "tid": {int64(th.TID)},
		},
	}
	if process, ok := b.processes[th.PID]; ok {
		sample.Label["process"] = []string{process}
	}
	for _, c := range calls(tl, s) {
		sample.Location = append(sample.Location, b.location(c))
	}
	if len(sample.Location) == 0 {
		sample.Location = []*profile.Location{b.location(call{name: "(no stack)"})}
	}
	b.prof.Sample = append(b.prof.Sample, sample)
}

func (b *pprofBuilder) location(c call) *profile.Location {
	if l := b.locations[c]; l != nil {
		return l
	}
	key := call{name: c.name, file: c.file}
	f := b.functions[key]
	if f == nil {
		f = &profile.Function{ID: uint64(len(b.prof.Function) + 1), Name: c.name, SystemName: c.name, Filename: c.file}
		b.functions[key] = f
		b.prof.Function = append(b.prof.Function, f)
	}
	l := &profile.Location{ID: uint64(len(b.prof.Location) + 1), Line: []profile.Line{{Function: f, Line: c.line}}}
	b.locations[c] = l
	b.prof.Location = append(b.prof.Location, l)
	return l
}

func (b *pprofBuilder) countsOnly(name string) {
	b.prof.SampleType = b.prof.SampleType[:1]
	b.prof.DefaultSampleType = name + "_count"
	for _, s := range b.prof.Sample {
		s.Value = s.Value[:1]
	}
}
