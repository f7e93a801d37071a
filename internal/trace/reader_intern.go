package trace

import "strings"

// maxGaps bounds how many ids may be missing, so that a damaged batch costs
// only its own entries and a forged id costs no memory.
const maxGaps = 1 << 18

// mayAdd says whether an id may be added to a table of n entries. The Writer
// numbers densely from 1.
func (d *decoder) mayAdd(iid uint64, n int) bool {
	if iid == 0 || iid >= d.maxGaps+uint64(n) {
		return false
	}
	gap := iid - min(iid, uint64(n))
	if gap > 0 {
		if d.gaps += gap; d.gaps > d.maxGaps {
			return false
		}
	}
	return d.budget.spend(int(gap+1) * tableEntry)
}

// Bytes of entries besides their texts: about what they and their place in a
// map take.
const (
	tableEntry = 48
	namedEntry = 128 // a note, a process, a thread, a track
)

// nameTable resolves the iids that stand for the names in Specs. Names of
// threads have higher iids; the reader does not need them.
type nameTable struct {
	kinds [firstNameIID][typeInstant + 1]Kind // by name and type of event
	roles [firstNameIID]role                  // by annotation name
	enums [firstNameIID][numKinds]int8        // by text; -1: no value of that kind
	locks [firstNameIID]LockKind              // by text
}

// role is what an annotation says.
type role uint8

const (
	noRole role = iota
	roleOther
	roleStack
	roleArg
	roleLock
)

func newNameTable() nameTable {
	var n nameTable
	for i := range n.enums {
		for k := range n.enums[i] {
			n.enums[i][k] = -1
		}
	}
	return n
}

// eventName notes which kinds a name of slices stands for.
func (n *nameTable) eventName(iid uint64, name string) {
	n.kinds[iid] = [typeInstant + 1]Kind{}
	for k := range Specs {
		if s := &Specs[k]; s.Slice == name {
			switch s.Form {
			case FormBegin:
				n.kinds[iid][typeBegin] = Kind(k)
			case FormEnd:
				n.kinds[iid][typeEnd] = Kind(k)
			case FormInstant:
				n.kinds[iid][typeInstant] = Kind(k)
			}
		}
	}
}

// annotation notes what the annotation of a name says.
func (n *nameTable) annotation(iid uint64, name string) {
	n.roles[iid] = noRole
	switch name {
	case holderField.Key + "_tid", wokenField.Key + "_tid":
		n.roles[iid] = roleOther
	case depthKey, sharedKey:
		n.roles[iid] = roleOther
	case stackField.Key:
		n.roles[iid] = roleStack
	case lockField.Key:
		n.roles[iid] = roleLock
	}
	for k := range Specs {
		if f := Specs[k].field(FieldArg); f != nil && f.Key == name {
			n.roles[iid] = roleArg
		}
	}
}

// text notes which enum values a text stands for.
func (n *nameTable) text(iid uint64, text string) {
	n.locks[iid] = LockUnknown
	for v, name := range lockKindNames {
		if name == text {
			n.locks[iid] = LockKind(v)
		}
	}
	for k := range Specs {
		n.enums[iid][k] = -1
		f := Specs[k].field(FieldArg)
		if f == nil {
			continue
		}
		for v, name := range f.Enum {
			if name == text {
				n.enums[iid][k] = int8(v)
			}
		}
	}
}

// interned decodes interned data, in the order it stands there.
func (d *decoder) interned(b []byte) {
	f := fields{b: b}
	for f.next() {
		switch f.num {
		case fInternedFrames:
			d.frame(f.sub)
			continue
		case fInternedCallstacks:
			d.stack(f.sub)
			continue
		case fInternedEventNames, fInternedAnnotations, fInternedTexts, fInternedSources, fInternedFunctions:
		default:
			continue
		}
		iid, text := decodeInterned(f.sub)
		switch {
		case f.num == fInternedSources:
			d.string(iid, text)
		case f.num == fInternedFunctions:
			d.functionName(iid, text)
		case iid >= firstNameIID:
		case f.num == fInternedEventNames:
			d.names.eventName(iid, string(text))
		case f.num == fInternedAnnotations:
			d.names.annotation(iid, string(text))
		case f.num == fInternedTexts:
			d.names.text(iid, string(text))
		}
	}
}

func decodeInterned(b []byte) (iid uint64, text []byte) {
	f := fields{b: b}
	for f.next() {
		switch f.num {
		case fIID:
			iid = f.val
		case fText:
			text = f.sub
		}
	}
	return iid, text
}

// string keeps a string; the first of an id counts, later ones repeat it.
func (d *decoder) string(iid uint64, text []byte) {
	n := len(d.t.Strings)
	if (iid < uint64(n) && d.t.Strings[iid] != "") || !d.mayAdd(iid, n) {
		return
	}
	s := cleanText(string(text), maxText)
	if !d.budget.spend(2 * len(s)) {
		return
	}
	for uint64(len(d.t.Strings)) <= iid {
		d.t.Strings = append(d.t.Strings, "")
	}
	d.t.Strings[iid] = s
	if _, ok := d.stringAt[s]; !ok {
		d.stringAt[s] = StringID(iid)
	}
}

// functionName keeps the name of the frame that follows.
func (d *decoder) functionName(iid uint64, text []byte) {
	if iid < uint64(len(d.t.Frames)) && d.t.Frames[iid] != (Frame{}) {
		return
	}
	d.functionIID, d.function = iid, string(text)
}

// frame keeps a frame.
func (d *decoder) frame(b []byte) {
	var out Frame
	var iid, function, source, mapping uint64
	f := fields{b: b}
	for f.next() {
		switch f.num {
		case fIID:
			iid = f.val
		case fFrameFunction:
			function = f.val
		case fFrameMapping:
			mapping = f.val
		case fFrameRelPC:
			out.RelPC = f.val
		case fFrameSource:
			source = f.val
		case fFrameLine:
			out.Line = int32(f.val)
		}
	}
	n := len(d.t.Frames)
	if (iid < uint64(n) && d.t.Frames[iid] != (Frame{})) || !d.mayAdd(iid, n) {
		return
	}
	out.File = d.known(source)
	if mapping > pythonMappingIID {
		out.Module = d.known(mapping - mappingIID(0))
	}
	if function == d.functionIID {
		out.Function = d.stringAt[strings.TrimSuffix(d.function, functionSuffix(out, d.t.Strings[out.File]))]
	}
	for uint64(len(d.t.Frames)) <= iid {
		d.t.Frames = append(d.t.Frames, Frame{})
	}
	d.t.Frames[iid] = out
}

func (d *decoder) known(id uint64) StringID {
	if id < uint64(len(d.t.Strings)) {
		return StringID(id)
	}
	return 0
}

// stack keeps a stack, turned round: Perfetto has the root first.
func (d *decoder) stack(b []byte) {
	var iid uint64
	var frames []FrameID
	f := fields{b: b}
	for f.next() {
		switch f.num {
		case fIID:
			iid = f.val
			if iid < uint64(len(d.t.Stacks)) && d.t.Stacks[iid] != nil {
				return // repeated
			}
		case fCallstackFrames:
			if f.val > 0 && f.val < uint64(len(d.t.Frames)) && len(frames) < maxStack {
				frames = append(frames, FrameID(f.val))
			}
		}
	}
	if len(frames) == 0 || !d.mayAdd(iid, len(d.t.Stacks)) || !d.budget.spend(cap(frames)*4) {
		return
	}
	for i, j := 0, len(frames)-1; i < j; i, j = i+1, j-1 {
		frames[i], frames[j] = frames[j], frames[i]
	}
	for uint64(len(d.t.Stacks)) <= iid {
		d.t.Stacks = append(d.t.Stacks, nil)
	}
	d.t.Stacks[iid] = frames
}
