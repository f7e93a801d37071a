package cpython

import "fmt"

// maxDictEntries bounds the entries read of one dict.
const maxDictEntries = 1 << 16

// dictEntry is one occupied entry of a dict.
type dictEntry struct{ key, value uint64 }

// dictKeys is the decoded head of a PyDictKeysObject.
type dictKeys struct {
	entries uint64 // address of the first entry
	count   uint64
	size    uint32 // bytes per entry
	keyAt   uint32 // of the key in the entry; the value follows it
}

// readKeys reads the head of a keys object. Its form changed in 3.11, where
// dicts with str keys only got entries without a hash (CPython
// Include/internal/pycore_dict.h, Objects/dict-common.h).
func (p *Process) readKeys(addr uint64) (dictKeys, error) {
	o := &p.objects
	b := make([]byte, o.keysIndices)
	if err := p.Read(addr, b); err != nil {
		return dictKeys{}, err
	}
	k := dictKeys{count: le64(b, o.keysEntries), size: 24, keyAt: 8}
	var indices uint64
	if o.keysLog2 {
		log2Size, log2Bytes, kind := b[8], b[9], b[10]
		if log2Size > 32 || log2Bytes > 40 {
			return k, fmt.Errorf("dict keys at %#x: %w", addr, ErrMalformed)
		}
		indices = 1 << log2Bytes
		if kind != 0 {
			k.size, k.keyAt = 16, 0
		}
	} else {
		size := le64(b, 8)
		indices = size * indexBytes(size)
		if size > 1<<32 {
			return k, fmt.Errorf("dict keys at %#x: %w", addr, ErrMalformed)
		}
	}
	if k.count > 1<<32 {
		return k, fmt.Errorf("dict keys at %#x: %w", addr, ErrMalformed)
	}
	k.entries, k.count = addr+uint64(o.keysIndices)+indices, min(k.count, maxDictEntries)
	return k, nil
}

// indexBytes is DK_IXSIZE of 3.8-3.10.
func indexBytes(size uint64) uint64 {
	switch {
	case size <= 0xff:
		return 1
	case size <= 0xffff:
		return 2
	case size <= 0xffffffff:
		return 4
	}
	return 8
}

// readEntries reads the occupied entries of a keys object; values, if not 0, is
// the address of the values that a split dict keeps apart.
func (p *Process) readEntries(keys, values uint64) ([]dictEntry, error) {
	k, err := p.readKeys(keys)
	if err != nil || k.count == 0 {
		return nil, err
	}
	raw := make([]byte, k.count*uint64(k.size))
	if err := p.Read(k.entries, raw); err != nil {
		return nil, err
	}
	var apart []byte
	if values != 0 {
		apart = make([]byte, k.count*8)
		if err := p.Read(values, apart); err != nil {
			return nil, err
		}
	}
	entries := make([]dictEntry, 0, k.count)
	for i := range uint32(k.count) {
		e := dictEntry{le64(raw, i*k.size+k.keyAt), le64(raw, i*k.size+k.keyAt+8)}
		if apart != nil {
			e.value = le64(apart, i*8)
		}
		if e.key != 0 && e.value != 0 {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// readDict reads the occupied entries of a dict object.
func (p *Process) readDict(dict uint64) ([]dictEntry, error) {
	b := make([]byte, 16)
	if err := p.Read(dict+uint64(p.objects.dictKeys), b); err != nil { // ma_keys, ma_values
		return nil, err
	}
	values := le64(b, 8)
	if values != 0 {
		values += uint64(p.objects.valuesHeader)
	}
	return p.readEntries(le64(b, 0), values)
}

// lookup returns the value of the str key called name, 0 if there is none.
func (p *Process) lookup(entries []dictEntry, name string) (uint64, error) {
	const batch = 256
	for len(entries) > 0 {
		part := entries[:min(batch, len(entries))]
		keys := make([]objectRead, len(part))
		for i := range part {
			keys[i].addr = part[i].key
		}
		if err := p.readObjects(keys); err != nil {
			return 0, err
		}
		for i := range keys {
			if keys[i].str() == name {
				return part[i].value, nil
			}
		}
		entries = entries[len(part):]
	}
	return 0, nil
}
