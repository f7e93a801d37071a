package cpython

// objectLayout is where the dicts, modules, ints and types of a version keep
// what the readers (not the probes) need. Measured like the table in layouts.go.
type objectLayout struct {
	keysLog2     bool   // dk_log2_size and dk_kind (3.11+) instead of dk_size
	keysEntries  uint32 // number of entries: dk_nentries
	keysIndices  uint32 // dk_indices
	valuesHeader uint32 // bytes before values[0] in PyDictValues
	attributes   attributeKind
	managedDict  uint32 // bytes from the pointer to the dict, or to the values, to the object (3.11+)
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
	setMask      uint32 // PySetObject
	setTable     uint32
	coroutine    coroutineLayout
	interpSize   uint32 // of PyInterpreterState (3.13+),
	runtimeSize  uint32 // and _PyRuntime
	frameLocals  uint32 // _PyInterpreterFrame.localsplus (3.13+); 0: the table does not tell
	tuple        uint32 // PyTupleObject.ob_item (3.13+); 0: behind the header
}

// attributeKind is where instances of a Python class keep their attributes.
type attributeKind uint8

// Places of instance attributes.
const (
	attributesInDict attributeKind = iota // dict at tp_dictoffset (3.8-3.10)
	attributesBefore                      // dict before the object, and before that pointer one to the values (3.11)
	attributesTagged                      // before the object: dict, or values+odd bit (3.12)
	attributesInline                      // dict before the object, else values behind it (3.13+)
)

// objectsOf returns the objectLayout of a version. From 3.13 on _Py_DebugOffsets
// completes it.
func objectsOf(v Version) objectLayout {
	o := objectLayout{
		keysEntries: 32, keysIndices: 40,
		typeFlags: 168, dictOffset: 288, basicSize: 32,
		dictKeys: 32, dictValues: 40, moduleDict: 16, intDigits: 24, intSize: 16,
		setMask: 32, setTable: 40, coroutine: coroutinesOf(v),
	}
	if v.series() >= 0x030b {
		o.keysLog2, o.keysEntries, o.keysIndices = true, 24, 32
		o.attributes, o.cachedKeys, o.managedDict = attributesBefore, 872, 24
	}
	if v.series() >= 0x030c {
		o.attributes, o.cachedKeys, o.longTagged = attributesTagged, 880, true
	}
	if v.series() >= 0x030d {
		o.attributes, o.valuesHeader = attributesInline, 8
	}
	return o
}
