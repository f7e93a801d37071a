package cpython

// objectLayout is where the dicts, modules, ints and types of a version keep
// what the readers (not the probes) need. Measured like the table in layouts.go.
type objectLayout struct {
	keysLog2     bool   // dk_log2_size and dk_kind (3.11+) instead of dk_size
	keysEntries  uint32 // number of entries: dk_nentries
	keysIndices  uint32 // dk_indices
	valuesHeader uint32 // bytes before values[0] in PyDictValues
	attributes   attributeKind
	cachedKeys   uint32 // PyHeapTypeObject.ht_cached_keys
	longTagged   bool   // ints: lv_tag (3.12+) instead of ob_size
	typeFlags    uint32
	dictOffset   uint32
	basicSize    uint32
	dictKeys     uint32 // PyDictObject.ma_keys
	dictValues   uint32
	moduleDict   uint32
	intDigits    uint32
	intSize      uint32
}

// attributeKind is where instances of a Python class keep their attributes.
type attributeKind uint8

// Places of instance attributes.
const (
	attributesInDict attributeKind = iota // dict at tp_dictoffset (3.8-3.10)
	attributesBefore                      // values pointer 4, dict 3 words before the object (3.11)
	attributesTagged                      // one word 3 before: dict, or values+odd bit (3.12)
	attributesInline                      // dict 3 words before, else values behind the object (3.13+)
)

// objectsOf returns the objectLayout of a version; typeSize is
// sizeof(PyTypeObject) where _Py_DebugOffsets told it, else 0.
func objectsOf(v Version, typeSize uint32) objectLayout {
	o := objectLayout{
		keysEntries: 32, keysIndices: 40,
		typeFlags: 168, dictOffset: 288, basicSize: 32,
		dictKeys: 32, dictValues: 40, moduleDict: 16, intDigits: 24, intSize: 16,
	}
	if v.series() >= 0x030b {
		o.keysLog2, o.keysEntries, o.keysIndices = true, 24, 32
		o.attributes, o.cachedKeys = attributesBefore, 872
	}
	if v.series() >= 0x030c {
		o.attributes, o.cachedKeys, o.longTagged = attributesTagged, 880, true
	}
	if v.series() >= 0x030d {
		// After the type: as_async .. as_buffer (440 bytes), ht_name, ht_slots, ht_qualname.
		o.attributes, o.cachedKeys, o.valuesHeader = attributesInline, typeSize+464, 8
	}
	return o
}
