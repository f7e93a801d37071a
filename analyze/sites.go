package analyze

import (
	"path"
	"strings"

	"gilscope/internal/trace"
)

// SiteID names an entry of Timeline.Sites; 0 is "not known".
type SiteID int32

// Site is a place in the program: the innermost Python frame, and the native
// function below it where there is one outside the interpreter itself.
type Site struct {
	Function, File string
	Line           int32  // 0: not known
	Native         string // "module function"; "": none, or not known
}

// stackSite is what a stack says about its leaf.
type stackSite struct {
	python SiteID // the site without its native part
	full   SiteID // with it
	told   bool   // the stack has native frames: an empty Native then means plain bytecode
	inner  string // "module function" of a leaf in the interpreter itself

	program SiteID // the innermost line of the program itself
	library bool   // the leaf is in a library
}

type siteMaker struct {
	tl     *Timeline
	ids    map[Site]SiteID
	native map[trace.FrameID]string
}

// resolveSites names the leaf of every stack, and gives each sample its site.
// A sample taken by a waiter knows Python frames only; the native function comes
// from the nearest sample of the same stretch on the same line that has one.
func (tl *Timeline) resolveSites() {
	m := &siteMaker{tl: tl, ids: map[Site]SiteID{{}: 0}, native: map[trace.FrameID]string{}}
	tl.Sites = []Site{{}}
	tl.stacks = make([]stackSite, len(tl.Trace.Stacks))
	for i, frames := range tl.Trace.Stacks {
		tl.stacks[i] = m.stack(frames)
	}
	r := siteResolver{tl: tl, near: make([]nearest, len(tl.Sites))}
	b := newBuiltins(m)
	for i := range tl.GILs {
		g := &tl.GILs[i]
		for k := range g.Lane {
			s := &g.Lane[k]
			if s.firstSample < s.endSample {
				r.stretch(g.Samples[s.firstSample:s.endSample])
				b.count(s, g.Samples[s.firstSample:s.endSample])
			}
		}
	}
	b.name(tl)
}

// SiteOf is the site of a stack's leaf.
func (tl *Timeline) SiteOf(stack trace.StackID) SiteID {
	if int(stack) >= len(tl.stacks) {
		return 0
	}
	return tl.stacks[stack].full
}

func (m *siteMaker) stack(ids []trace.FrameID) stackSite {
	var s Site
	told, inner := false, ""
	for depth, id := range ids {
		if int(id) >= len(m.tl.Trace.Frames) {
			break
		}
		f := m.tl.Trace.Frames[id]
		if !f.Native() {
			s.Function, s.File, s.Line = m.string(f.Function), m.string(f.File), f.Line
			break
		}
		if depth == 0 {
			told, s.Native = true, m.nativeName(id, f)
			if function := m.string(f.Function); s.Native == "" && !isEvalLoop(function) {
				inner = path.Base(m.string(f.Module)) + " " + function
			}
		}
	}
	python := s
	python.Native = ""
	st := stackSite{python: m.id(python), full: m.id(s), told: told, inner: inner}
	st.program, st.library = m.program(ids, st.python)
	return st
}

func (m *siteMaker) id(s Site) SiteID {
	id, ok := m.ids[s]
	if !ok {
		id = SiteID(len(m.tl.Sites))
		m.ids[s] = id
		m.tl.Sites = append(m.tl.Sites, s)
	}
	return id
}

func (m *siteMaker) string(id trace.StringID) string {
	if int(id) >= len(m.tl.Trace.Strings) {
		return ""
	}
	return m.tl.Trace.Strings[id]
}

// nativeName is "module function" for code outside the interpreter, else "".
func (m *siteMaker) nativeName(id trace.FrameID, f trace.Frame) string {
	if name, ok := m.native[id]; ok {
		return name
	}
	module := path.Base(m.string(f.Module))
	name := ""
	if !isInterpreter(module) {
		name = strings.TrimSpace(module + " " + m.string(f.Function))
	}
	m.native[id] = name
	return name
}

// isInterpreter tells CPython's own code by its file name (libpython3.13.so.1.0,
// python3.12, python): a leaf there is plain bytecode or a builtin.
func isInterpreter(module string) bool {
	rest, ok := strings.CutPrefix(module, "libpython")
	if !ok {
		rest, ok = strings.CutPrefix(module, "python")
	}
	return ok && strings.Trim(strings.SplitN(rest, ".so", 2)[0], "0123456789.tdm") == ""
}

// siteResolver lends the native function of one sample to its neighbours.
type siteResolver struct {
	tl   *Timeline
	near []nearest // by Python site
	gap  []int64   // by sample: distance to the neighbour taken, negative if none
	pass int       // tells what this pass left in near from what earlier ones did
}

// nearest is the last sample with native frames on one Python line.
type nearest struct {
	pass int
	at   trace.Time
	full SiteID
}

func (r *siteResolver) stretch(samples []Sample) {
	r.gap = r.gap[:0]
	r.pass++
	for i := range samples {
		r.gap = append(r.gap, -1)
		r.sample(&samples[i], &r.gap[i])
	}
	r.pass++
	for i := len(samples) - 1; i >= 0; i-- {
		r.sample(&samples[i], &r.gap[i])
	}
}

func (r *siteResolver) sample(s *Sample, gap *int64) {
	st := r.tl.stacks[s.Stack]
	n := &r.near[st.python]
	if st.told {
		s.Site = st.full
		*n = nearest{r.pass, s.Time, st.full}
		return
	}
	if n.pass != r.pass {
		if *gap < 0 {
			s.Site = st.full
		}
		return
	}
	d := max(int64(s.Time-n.at), int64(n.at-s.Time))
	if *gap < 0 || d < *gap {
		s.Site, *gap = n.full, d
	}
}
