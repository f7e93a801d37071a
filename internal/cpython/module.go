package cpython

import (
	"container/list"
	"debug/elf"
	"os"
	"sync"
)

// maxModules bounds the files kept open with their symbols. A process with
// more libraries than that opens the rare ones again.
const maxModules = 256

// module is one ELF file with what was read of it so far. It is shared by all
// processes that map the file: a hundred workers need one symbol table.
type module struct {
	file *os.File
	img  *image
	pid  int    // the first process that mapped it, and
	path string // how that calls it: where its symbol file is looked for

	mu     sync.Mutex
	dyn    *symbolTable // .dynsym in file order
	sorted *symbolTable // see functions
	tables *image       // the symbol file that sorted is from, which bounds its memory
	frames *frameIndex  // .eh_frame

	cold     map[uint64]uint64 // entry by start of a part, see entryOf
	coldRead uint64            // bytes

	callsOnce sync.Once // see gilCalls
	found     []libcCall
	foundErr  error
}

// modules caches modules by file; the least recently used one leaves.
var modules = struct {
	sync.Mutex
	byID  map[fileID]*list.Element
	order *list.List // of *cachedModule, most recently used first
}{byID: map[fileID]*list.Element{}, order: list.New()}

type cachedModule struct {
	id  fileID
	mod *module
}

// loadModule returns the module behind a mapping of process pid.
func loadModule(pid int, m *Mapping) (*module, error) {
	f, id, err := openMapped(pid, m)
	if err != nil {
		return nil, err
	}
	modules.Lock()
	defer modules.Unlock()
	if e, ok := modules.byID[id]; ok {
		f.Close()
		modules.order.MoveToFront(e)
		return e.Value.(*cachedModule).mod, nil
	}
	img, err := parseImage(f, id.size)
	if err != nil {
		f.Close()
		return nil, err
	}
	mod := &module{file: f, img: img, pid: pid, path: m.file()}
	modules.byID[id] = modules.order.PushFront(&cachedModule{id, mod})
	if modules.order.Len() > maxModules {
		oldest := modules.order.Back()
		modules.order.Remove(oldest)
		// Not closed: a Process may use it still. The collector closes the file
		// with the last user, and until then the inode number stays taken.
		delete(modules.byID, oldest.Value.(*cachedModule).id)
	}
	return mod, nil
}

// dynamic returns the symbols of .dynsym, an empty table if it is damaged.
func (m *module) dynamic() *symbolTable {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.readDynamic()
}

func (m *module) readDynamic() *symbolTable {
	if m.dyn == nil {
		m.dyn, _ = m.img.readSymbols(elf.SHT_DYNSYM, func(*symbol) bool { return true })
	}
	return m.dyn
}

// functions returns the code symbols by address.
func (m *module) functions() *symbolTable {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sorted == nil {
		m.sorted = m.readFunctions()
	}
	return m.sorted
}

// readFunctions takes .symtab, where that was stripped off the one in the
// symbol file, else .dynsym.
func (m *module) readFunctions() *symbolTable {
	t, err := m.img.readSymbols(elf.SHT_SYMTAB, isCode)
	if m.stripped() {
		if f, img := m.symbolFile(); f != nil {
			t, err = img.readSymbols(elf.SHT_SYMTAB, isCode)
			m.tables = img
			f.Close()
		}
	}
	if err != nil || len(t.syms) == 0 {
		m.tables = nil
		t = m.readDynamic().code()
	}
	t.byAddress()
	return t
}

func isCode(s *symbol) bool { return s.code }

// named says whether the functions have names, be it by a symbol file.
func (m *module) named() bool {
	m.functions()
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.stripped() || m.tables != nil
}

// adopt takes the functions of a symbol file, if it has any.
func (m *module) adopt(img *image) bool {
	t, err := img.readSymbols(elf.SHT_SYMTAB, isCode)
	if err != nil || len(t.syms) == 0 {
		return false
	}
	t.byAddress()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sorted, m.tables = t, img
	return true
}

// frameIndex returns the unwind tables, an empty index if there are none.
func (m *module) frameIndex() *frameIndex {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.frames == nil {
		m.frames = newFrameIndex(m.img)
	}
	return m.frames
}

// stripped says whether the file itself has no .symtab.
func (m *module) stripped() bool { return m.img.stripped() }
