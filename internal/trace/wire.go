package trace

import "strings"

// Interned ids (iids) of what the Specs table itself brings along. Event
// names: the Kind. Categories, annotation names and enum values: their place
// in the lists here. Names of threads follow from firstNameIID on.
const firstNameIID = 64

// Annotation names, by iid.
const (
	annHolder    = 1 + iota // name of FieldOther's thread
	annHolderTID            // its number
	annWoken                // the same two, where that thread is not the holder
	annWokenTID
	annStack    // FieldStack, in files without event callstacks
	annSite     // FieldOther, where it is a depth in the stack
	annShared   // FieldOther, where it is the number of a lock that processes share
	annLock     // FieldLock
	annFirstArg // keys of FieldArg follow
)

// wireSpec is a row of Specs prepared for the writer and the reader.
type wireSpec struct {
	prefix []byte // type, name and category, as they open the TrackEvent
	argIID uint64 // annotation name of FieldArg; 0: the kind does not annotate it
	// enumIID is the iid of enum value 0 in the table of texts.
	enumIID          uint64
	enums            uint64
	lockIID          uint64 // of the value 0 of FieldLock; 0: the kind does not use it
	otherIID         uint64 // annotation name of FieldOther's thread, its number has the next; 0: the kind does not use it
	stack            bool
	numberIID        uint64 // annotation name of FieldOther where it is no thread but a number; 0: it is not
	flowField        uint64 // 0: no flow
	category, nameID uint64
}

// wireTable is Specs prepared, with the interned data that it needs.
type wireTable struct {
	specs  [numKinds]wireSpec
	static []byte            // InternedData of the names, categories, keys and values
	texts  map[string]uint64 // iids of the values of enums, of the first one under all of them
	last   uint64            // iid of a text
}

var wire = buildWire()

// buildWire derives the wire table from Specs.
func buildWire() *wireTable {
	t := &wireTable{}
	categories, keys := map[string]uint64{}, map[string]uint64{}
	t.texts = map[string]uint64{}
	for _, a := range []struct {
		iid  uint64
		name string
	}{{annHolder, holderField.Key}, {annHolderTID, holderField.Key + "_tid"}, {annWoken, wokenField.Key}, {annWokenTID, wokenField.Key + "_tid"},
		{annStack, stackField.Key}, {annSite, depthKey}, {annShared, sharedKey}, {annLock, lockField.Key}} {
		t.intern(fInternedAnnotations, a.iid, a.name)
	}
	for k := range Specs {
		s, w := &Specs[k], &t.specs[k]
		if s.Category == "" {
			continue
		}
		if categories[s.Category] == 0 {
			categories[s.Category] = uint64(len(categories) + 1)
			t.intern(fInternedCategories, categories[s.Category], s.Category)
		}
		w.category, w.nameID = categories[s.Category], uint64(k)
		t.intern(fInternedEventNames, w.nameID, s.Slice)
		w.fields(s)
		if f := s.field(FieldArg); f != nil {
			if keys[f.Key] == 0 {
				keys[f.Key] = annFirstArg + uint64(len(keys))
				t.intern(fInternedAnnotations, keys[f.Key], f.Key)
			}
			w.argIID, w.enumIID, w.enums = keys[f.Key], t.values(f.Enum), uint64(len(f.Enum))
		}
		if f := s.field(FieldLock); f != nil {
			w.lockIID = t.values(f.Enum)
		}
		w.prefix = eventPrefix(s.Form, w)
	}
	return t
}

// values interns the values of an enum, once, and returns the iid of the first.
func (t *wireTable) values(enum []string) uint64 {
	all := strings.Join(enum, "\x00")
	if t.texts[all] == 0 && len(enum) > 0 {
		t.texts[all] = t.last + 1
		for _, name := range enum {
			t.last++
			t.intern(fInternedTexts, t.last, name)
		}
	}
	return t.texts[all]
}

// intern adds one entry to the static interned data.
func (t *wireTable) intern(table, iid uint64, text string) {
	t.static = appendInterned(t.static, table, iid, text)
}

// fields notes which fields the kind uses.
func (w *wireSpec) fields(s *Spec) {
	if f := s.field(FieldOther); f != nil {
		switch f.Key {
		case wokenField.Key:
			w.otherIID = annWoken
		case depthKey:
			w.numberIID = annSite
		case sharedKey:
			w.numberIID = annShared
		default:
			w.otherIID = annHolder
		}
	}
	w.stack = s.field(FieldStack) != nil
	if s.field(FieldFlow) != nil {
		w.flowField = fEventFlowEnd
		if s.Form == FormEnd {
			w.flowField = fEventFlow
		}
	}
}

// eventPrefix encodes what is the same in every TrackEvent of a kind.
func eventPrefix(f Form, w *wireSpec) []byte {
	var b []byte
	switch f {
	case FormBegin:
		b = appendUint(b, fEventType, typeBegin)
	case FormEnd:
		b = appendUint(b, fEventType, typeEnd)
	case FormInstant:
		b = appendUint(b, fEventType, typeInstant)
	default:
		return nil
	}
	b = appendUint(b, fEventNameIID, w.nameID)
	return appendUint(b, fEventCategoryIID, w.category)
}

// appendInterned appends an InternedData entry of the form {iid, text}.
func appendInterned(b []byte, table, iid uint64, text string) []byte {
	b, at := open(b, table)
	b = appendUint(b, fIID, iid)
	b = appendString(b, fText, text)
	return seal(b, at)
}
