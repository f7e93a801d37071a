package cpython

import (
	"fmt"
	"strings"
)

// Type flags (CPython Include/object.h).
const (
	flagInlineValues = 1 << 2 // 3.13+
	flagManagedDict  = 1 << 4 // 3.11+
)

// ThreadObject is what a threading.Thread says of itself.
type ThreadObject struct {
	Name   string
	Daemon *bool // nil: it could not be read
}

// ThreadObjects returns the threading.Thread objects by pthread
// ident, from sys.modules['threading']._active of every interpreter. A thread
// that Python did not start has none. The objects may change while they are
// read: one whose name cannot be read is left out.
func (p *Process) ThreadObjects() (map[uint64]ThreadObject, error) {
	names := map[uint64]ThreadObject{}
	err := p.addNames(names, p.interp)
	if err != nil {
		if gone := p.Alive(); gone != nil {
			return names, gone
		}
		return names, fmt.Errorf("read the thread names of process %d: %w; names stay unknown", p.PID, err)
	}
	interps, err := p.Interpreters()
	if err != nil {
		return names, err
	}
	for _, i := range interps[1:] {
		_ = p.addNames(names, i.Addr) // fails while it begins or ends: it has no names then
	}
	return names, p.Alive()
}

// addNames adds the names that one interpreter has. A thread that runs code of
// several has a name in each; the one that was given to it wins.
func (p *Process) addNames(names map[uint64]ThreadObject, interp uint64) error {
	active, err := p.activeThreads(interp)
	if err != nil {
		return err
	}
	attributes, flags := map[uint64]uint64{}, map[uint64]uint64{} // places of _name and _daemonic, see instanceAttribute
	objs, idents, daemons := []objectRead{}, []uint64{}, []*bool{}
	for _, e := range active {
		ident, ok := p.readInt(e.key)
		if !ok {
			continue
		}
		name, err := p.instanceAttribute(e.value, "_name", attributes)
		if err != nil || name == 0 {
			continue
		}
		objs, idents, daemons = append(objs, objectRead{addr: name}), append(idents, ident), append(daemons, p.daemonic(e.value, flags))
	}
	if err := p.readObjects(objs); err != nil {
		return err
	}
	for i := range objs {
		if known, ok := names[idents[i]]; objs[i].err == nil && (!ok || byDefault(known.Name) && !byDefault(objs[i].str())) {
			names[idents[i]] = ThreadObject{objs[i].str(), daemons[i]}
		}
	}
	return nil
}

// daemonic reads whether a Thread is a daemon (Lib/threading.py, Thread._daemonic, a
// bool, which is an int); index as for instanceAttribute.
func (p *Process) daemonic(thread uint64, index map[uint64]uint64) *bool {
	addr, err := p.instanceAttribute(thread, "_daemonic", index)
	if err != nil || addr == 0 {
		return nil
	}
	v, ok := p.readInt(addr)
	if !ok || v > 1 {
		return nil
	}
	is := v == 1
	return &is
}

// byDefault says whether a name is one that threading gives to threads that it
// did not start (Lib/threading.py): to whichever imported it, and to those that
// it meets later.
func byDefault(name string) bool {
	return name == "MainThread" || strings.HasPrefix(name, "Dummy-")
}

// activeThreads reads threading._active of an interpreter; no entries if its
// program never imported threading.
func (p *Process) activeThreads(interp uint64) ([]dictEntry, error) {
	active, err := p.moduleAttribute(interp, "threading", "_active")
	if err != nil || active == 0 {
		return nil, err
	}
	return p.readDict(active)
}

// readInt reads a non-negative int of at most 64 bits.
func (p *Process) readInt(addr uint64) (uint64, bool) {
	b := make([]byte, p.objects.intDigits+12)
	if p.Read(addr, b) == nil {
		return p.intIn(b)
	}
	b = b[:p.objects.intDigits+4] // the end of what is mapped may follow
	if p.Read(addr, b) != nil {
		return 0, false
	}
	return p.intIn(b)
}

// intIn decodes a non-negative int of at most 64 bits (CPython
// Include/cpython/longintrepr.h: digits of 30 bits).
func (p *Process) intIn(b []byte) (uint64, bool) {
	o := &p.objects
	count := le64(b, o.intSize)
	if o.longTagged {
		if count&3 != 0 { // zero or negative
			return 0, count&3 == 1
		}
		count >>= 3
	}
	if count < 1 || count > 3 || uint64(o.intDigits)+4*count > uint64(len(b)) {
		return 0, count == 0
	}
	var v uint64
	for i := range uint32(count) {
		v |= uint64(le32(b, o.intDigits+4*i)) << (30 * i)
	}
	return v, true
}

// instanceAttribute returns the value of an instance's attribute, 0 if it has
// none. The keys that instances of one type share are looked up once: index
// remembers, by keys object, the place of the attribute plus one.
func (p *Process) instanceAttribute(obj uint64, name string, index map[uint64]uint64) (uint64, error) {
	class, err := p.word(obj + uint64(p.Layout.ObType))
	if err != nil {
		return 0, err
	}
	dict, values, err := p.attributesOf(obj, class)
	if err != nil {
		return 0, err
	}
	if dict != 0 {
		entries, err := p.readDict(dict)
		if err != nil {
			return 0, err
		}
		return p.lookup(entries, name)
	}
	if values == 0 {
		return 0, nil
	}
	keys, err := p.word(class + uint64(p.objects.cachedKeys))
	if err != nil {
		return 0, err
	}
	place, ok := index[keys]
	if !ok {
		if place, err = p.keyPlace(keys, name); err != nil {
			return 0, err
		}
		index[keys] = place
	}
	if place == 0 {
		return 0, nil
	}
	return p.word(values + 8*(place-1))
}

// keyPlace returns the place of a str key among shared keys plus one, 0 if it
// is not there.
func (p *Process) keyPlace(keys uint64, name string) (uint64, error) {
	k, err := p.readKeys(keys)
	if err != nil || k.count == 0 || k.count > 1024 {
		return 0, err
	}
	raw := make([]byte, k.count*uint64(k.size))
	if err := p.Read(k.entries, raw); err != nil {
		return 0, err
	}
	places := make([]dictEntry, k.count)
	for i := range places {
		places[i] = dictEntry{le64(raw, uint32(i)*k.size+k.keyAt), uint64(i) + 1}
	}
	return p.lookup(places, name)
}

// attributesOf finds where an instance keeps its attributes: the address of
// its dict, or of the array of its values, or neither.
func (p *Process) attributesOf(obj, class uint64) (dict, values uint64, err error) {
	o := &p.objects
	b := make([]byte, o.dictOffset+8)
	if err := p.Read(class, b); err != nil {
		return 0, 0, err
	}
	flags := le64(b, o.typeFlags)
	if o.attributes == attributesInDict || flags&flagManagedDict == 0 {
		offset := int64(le64(b, o.dictOffset))
		if offset <= 0 || offset > 1<<16 {
			return 0, 0, nil
		}
		dict, err = p.word(obj + uint64(offset))
		return dict, 0, err
	}
	before := make([]byte, 16)
	if err := p.Read(obj-uint64(o.managedDict)-8, before); err != nil {
		return 0, 0, err
	}
	far, near := le64(before, 0), le64(before, 8)
	switch {
	case o.attributes == attributesBefore:
		return near, far, nil
	case o.attributes == attributesTagged && near&1 != 0:
		return 0, near + 1, nil
	case o.attributes == attributesTagged || near != 0:
		return near, 0, nil
	case flags&flagInlineValues != 0:
		return 0, obj + le64(b, o.basicSize) + uint64(o.valuesHeader), nil
	}
	return 0, 0, nil
}
