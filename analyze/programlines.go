package analyze

import (
	"cmp"
	"slices"
	"strings"

	"gilscope/internal/trace"
)

// LineTime is how long something took at one line.
type LineTime struct {
	Site *SiteRow `json:"site"`
	NS   int64    `json:"ns"`
}

// maxProgramLines bounds lists of LineTime: the longest stay.
const maxProgramLines = 50

// fromLibrary tells the standard library and installed packages by their folders. With
// paths that were left out nothing is known to be one.
func fromLibrary(file string) bool {
	if strings.Contains(file, "/site-packages/") || strings.Contains(file, "/dist-packages/") || strings.HasPrefix(file, "<frozen ") {
		return true
	}
	_, rest, found := strings.Cut(file, "/lib/python3.")
	version, _, folder := strings.Cut(rest, "/")
	return found && folder && strings.Trim(version, "0123456789t") == ""
}

// program is the line of the program itself that a stack is at: its innermost Python
// frame that no library has, else the innermost one. library says that the leaf is in one.
func (m *siteMaker) program(ids []trace.FrameID, leaf SiteID) (site SiteID, library bool) {
	for _, id := range ids {
		if int(id) >= len(m.tl.Trace.Frames) {
			break
		}
		f := m.tl.Trace.Frames[id]
		if f.Native() {
			continue
		}
		s := Site{Function: m.string(f.Function), File: m.string(f.File), Line: f.Line}
		if !fromLibrary(s.File) {
			return m.id(s), library
		}
		library = true
	}
	return leaf, library
}

// programSums adds up time by lines of the program itself.
type programSums struct {
	tl      *Timeline
	ns      map[SiteID]int64
	library bool // some of it was spent in a library
}

func (s *programSums) add(stack trace.StackID, ns int64) {
	if int(stack) >= len(s.tl.stacks) || s.tl.stacks[stack].program == 0 {
		return
	}
	if s.ns == nil {
		s.ns = map[SiteID]int64{}
	}
	s.ns[s.tl.stacks[stack].program] += ns
	s.library = s.library || s.tl.stacks[stack].library
}

// lines are the sums, the longest first.
func (s *programSums) lines() []LineTime {
	ids := make([]SiteID, 0, len(s.ns))
	for id := range s.ns {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(x, y SiteID) int { return cmp.Or(cmp.Compare(s.ns[y], s.ns[x]), cmp.Compare(x, y)) })
	list := []LineTime{}
	for _, id := range ids[:min(len(ids), maxProgramLines)] {
		list = append(list, LineTime{s.tl.row(id), s.ns[id]})
	}
	return list
}
