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

	mu     sync.Mutex
	dyn    *symbolTable // .dynsym in file order
	sorted *symbolTable // .symtab, else .dynsym, by address
	frames *frameIndex  // .eh_frame
	cold   map[uint64]uint64
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
	mod := &module{file: f, img: img}
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
	if m.dyn == nil {
		m.dyn, _ = m.img.readSymbols(elf.SHT_DYNSYM)
	}
	return m.dyn
}

// functions returns the code symbols by address: of .symtab, else of .dynsym.
func (m *module) functions() *symbolTable {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sorted != nil {
		return m.sorted
	}
	t, err := m.img.readSymbols(elf.SHT_SYMTAB)
	if err != nil || len(t.syms) == 0 {
		t, _ = m.img.readSymbols(elf.SHT_DYNSYM)
	}
	t.sortByAddress()
	m.sorted = t
	return t
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

// stripped says whether the file has no .symtab.
func (m *module) stripped() bool {
	for i := range m.img.sects {
		if m.img.sects[i].kind == elf.SHT_SYMTAB {
			return false
		}
	}
	return true
}
