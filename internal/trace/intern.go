package trace

import (
	"path"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds on what a target can make us store.
const (
	maxText     = 1 << 10 // bytes of a string or a name
	maxNoteText = 4 << 10 // bytes of a text in a note
	maxNoteArgs = 64
	maxStack    = 1 << 10 // frames; the root's end is cut
)

// Bounds on the tables of a recording, however long: some 200 MB. Beyond them
// what was not seen before gets the id 0, "not known". A program has some
// thousands of stacks; only one that makes up code objects has more.
const (
	maxStrings   = 1 << 19
	maxAllText   = 64 << 20
	maxFrames    = 1 << 19
	maxStacks    = 1 << 19
	maxFrameRefs = 1 << 24
)

// pythonMapping is the mapping of all Python frames. Perfetto drops stacks
// with a frame that has none (v52: stat stackprofile_invalid_mapping_id).
const (
	pythonMapping    = "[python]"
	pythonMappingIID = 1
)

// mappingIID is the iid of the mapping, and of its path, for a module.
func mappingIID(module StringID) uint64 { return uint64(module) + 1 }

// cleanText bounds s and makes it valid UTF-8, without a copy if it is fine.
func cleanText(s string, limit int) string {
	if len(s) > limit {
		for limit > 0 && !utf8.RuneStart(s[limit]) {
			limit--
		}
		s = s[:limit]
	}
	if utf8.ValidString(s) {
		return s
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > limit { // the replacement is longer than what it replaces
		return cleanText(s, limit)
	}
	return s
}

// functionText is how a frame's function is named in Perfetto. Python frames
// get their place appended, since viewers before v53 ignore Frame.source_path_iid.
func functionText(f Frame, function, file string) string {
	return function + functionSuffix(f, file)
}

// functionSuffix is what functionText appends; the reader cuts it off again.
func functionSuffix(f Frame, file string) string {
	switch {
	case f.Native() || (f.File == 0 && f.Line == 0):
		return ""
	case f.Line == 0:
		return " (" + path.Base(file) + ")"
	}
	return " (" + path.Base(file) + ":" + strconv.Itoa(int(f.Line)) + ")"
}

// interner is the writer's tables of strings, frames and stacks. Each entry
// carries the generation in which it was last written, so that it is written
// once per generation and only if it is used.
type interner struct {
	gen     uint32
	pending []byte // InternedData not yet in a packet

	stringIDs map[string]StringID
	strings   []internedString
	text      int // bytes of all strings
	frameIDs  map[Frame]FrameID
	frames    []internedFrame
	stackIDs  map[uint64]StackID // by hash; collisions take the next free hash
	stacks    []internedStack
	frameRefs []FrameID // the frames of all stacks, one after the other
	mappings  map[StringID]uint32
	nameIDs   map[string]uint32
	names     []internedName
}

type internedString struct {
	text string
	gen  uint32
}

type internedFrame struct {
	frame       Frame
	gen, locGen uint32
}

type internedStack struct {
	start, end uint32  // in frameRefs
	site       FrameID // what the source location shows
	gen        uint32
}

// internedName is a thread's name. It is interned in two of Perfetto's
// tables: as the name of a slice and as a text of annotations.
type internedName struct {
	text              string
	sliceGen, textGen uint32
}

func newInterner() interner {
	return interner{
		gen:       1,
		stringIDs: map[string]StringID{},
		strings:   make([]internedString, 1),
		frameIDs:  map[Frame]FrameID{},
		frames:    make([]internedFrame, 1),
		stackIDs:  map[uint64]StackID{},
		stacks:    make([]internedStack, 1),
		mappings:  map[StringID]uint32{},
		nameIDs:   map[string]uint32{},
	}
}

// string returns the id of s, a new one if s was not seen before.
func (in *interner) string(s string) StringID {
	if s == "" {
		return 0
	}
	if id, ok := in.stringIDs[s]; ok {
		return id
	}
	c := cleanText(s, maxText)
	if id, ok := in.stringIDs[c]; ok {
		return id
	}
	if len(in.strings) >= maxStrings || in.text >= maxAllText {
		return 0
	}
	c = strings.Clone(c) // s may be a piece of a large buffer
	id := StringID(len(in.strings))
	in.stringIDs[c] = id
	in.text += len(c)
	in.strings = append(in.strings, internedString{text: c})
	in.needString(id)
	return id
}

// frame returns the id of f. Ids of strings that were never given out become 0.
func (in *interner) frame(f Frame) FrameID {
	if id, ok := in.frameIDs[f]; ok {
		return id
	}
	f.Function, f.File, f.Module = in.known(f.Function), in.known(f.File), in.known(f.Module)
	if f == (Frame{}) {
		return 0
	}
	if id, ok := in.frameIDs[f]; ok {
		return id
	}
	if in.full() {
		return 0
	}
	id := FrameID(len(in.frames))
	in.frameIDs[f] = id
	in.frames = append(in.frames, internedFrame{frame: f})
	in.needFrame(id)
	return id
}

// full says that a new frame or stack may lack what it refers to.
func (in *interner) full() bool {
	return len(in.strings) >= maxStrings || in.text >= maxAllText || len(in.frames) >= maxFrames ||
		len(in.stacks) >= maxStacks || len(in.frameRefs) >= maxFrameRefs
}

func (in *interner) known(id StringID) StringID {
	if int(id) < len(in.strings) {
		return id
	}
	return 0
}

// stack returns the id of a stack, leaf first. Unknown frames are left out.
func (in *interner) stack(leafFirst []FrameID) StackID {
	if len(leafFirst) > maxStack {
		leafFirst = leafFirst[:maxStack]
	}
	h := uint64(14695981039346656037)
	start := len(in.frameRefs)
	for _, f := range leafFirst {
		if f == 0 || int(f) >= len(in.frames) {
			if in.full() {
				in.frameRefs = in.frameRefs[:start]
				return 0 // without that frame it would be another stack
			}
			continue
		}
		h = (h ^ uint64(f)) * 1099511628211
		h ^= h >> 29
		in.frameRefs = append(in.frameRefs, f)
	}
	added := in.frameRefs[start:]
	if len(added) == 0 {
		return 0
	}
	for ; ; h++ {
		id, ok := in.stackIDs[h]
		if !ok && in.full() {
			in.frameRefs = in.frameRefs[:start]
			return 0
		}
		if !ok {
			return in.newStack(h, start)
		}
		if s := &in.stacks[id]; equalFrames(in.frameRefs[s.start:s.end], added) {
			in.frameRefs = in.frameRefs[:start]
			return id
		}
	}
}

// newStack makes a stack of the references from start on.
func (in *interner) newStack(h uint64, start int) StackID {
	id := StackID(len(in.stacks))
	in.stackIDs[h] = id
	refs := in.frameRefs[start:]
	site := refs[0]
	for _, f := range refs {
		if !in.frames[f].frame.Native() { // the innermost Python line is what a user can change
			site = f
			break
		}
	}
	in.stacks = append(in.stacks, internedStack{start: uint32(start), end: uint32(len(in.frameRefs)), site: site})
	in.needStack(id)
	return id
}

func equalFrames(a, b []FrameID) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// name returns the number of a thread's name.
func (in *interner) name(s string) uint32 {
	id, ok := in.nameIDs[s]
	if !ok {
		id = uint32(len(in.names))
		in.nameIDs[s] = id
		in.names = append(in.names, internedName{text: s})
	}
	return id
}
