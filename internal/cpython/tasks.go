package cpython

import (
	"bytes"
	"strconv"
	"strings"
)

// Tasks is where asyncio keeps its tasks. From 3.14 on the interpreter tells it
// itself (struct _Py_AsyncioModuleDebugOffsets, Modules/_asynciomodule.c); before,
// it is what the module asyncio.tasks has, and a row of taskLayouts.
type Tasks struct {
	Running uint32 // asyncio_running_task in the thread state (3.14+), else None
	Current uint64 // the dict with the running task of each loop (before 3.14); 0: not known

	task  taskLayout
	known bool // whether task is
}

// asyncioFields is how many u64 the section has: seven of a task, two of the
// interpreter, four of a thread state (checked on 3.14.3, 3.14.10 and 3.15.2).
const (
	asyncioFields    = 13
	asyncioSection   = ".AsyncioDebug"
	asyncioTaskName  = 1
	asyncioIsTask    = 3
	asyncioTaskCoro  = 5
	asyncioTaskNode  = 6
	asyncioInterp    = 8 // asyncio_tasks_head in the interpreter
	asyncioLoop      = 10
	asyncioRunning   = 11
	asyncioThread    = 12 // asyncio_tasks_head in the thread state
	maxAsyncioOffset = 1 << 20
)

// Tasks finds the table in the interpreter, or in the extension module _asyncio
// if that has been imported by now. Before 3.14 it looks for asyncio's modules.
func (p *Process) Tasks() Tasks {
	if p.Version.series() < 0x030e {
		t := Tasks{Running: None}
		if t.task, t.known = taskLayouts[p.Version.series()]; t.known && !p.Build.FreeThreaded {
			t.Current, _ = p.moduleAttribute(p.interp, "asyncio.tasks", "_current_tasks")
		}
		t.known = t.known && !p.Build.FreeThreaded
		return t
	}
	for _, m := range p.Maps() {
		name := m.file()[strings.LastIndexByte(m.file(), '/')+1:]
		if !m.Exec || m.Inode == 0 || m.Path != p.exe && m.Path != p.Build.Path && !strings.HasPrefix(name, "_asyncio.") {
			continue
		}
		mod, err := loadModule(p.PID, &m)
		if err != nil {
			continue
		}
		if t, ok := mod.tasks(); ok {
			// A newer version may count the states of a coroutine in another way, as 3.15 did.
			t.known = t.known && !p.Build.FreeThreaded && p.Version.series() <= newestKnown
			return t
		}
	}
	return Tasks{Running: None}
}

// tasks reads the table from the file: it is data that nobody changes.
func (m *module) tasks() (t Tasks, ok bool) {
	s := m.img.section(asyncioSection)
	if s == nil || s.size < 8*asyncioFields {
		return t, false
	}
	b, err := m.img.bytes(s.off, 8*asyncioFields)
	if err != nil {
		return t, false
	}
	at := func(field uint32) uint32 { return uint32(le64(b, 8*field)) }
	for _, field := range []uint32{asyncioTaskName, asyncioTaskCoro, asyncioTaskNode, asyncioInterp, asyncioLoop, asyncioRunning, asyncioThread} {
		if v := le64(b, 8*field); v >= maxAsyncioOffset || v%8 != 0 {
			return t, false
		}
	}
	t.Running = at(asyncioRunning)
	isTask := le64(b, 8*asyncioIsTask)
	t.known = isTask < maxAsyncioOffset && isTask%8 == 4
	t.task = taskLayout{
		// What the table leaves out lies before what it has (FutureObj_HEAD, TaskObj): checked on 3.14.10 and 3.15.2.
		state: uint32(isTask) - 4, logTB: uint32(isTask) + 2, waiter: at(asyncioTaskCoro) - 8,
		coro: at(asyncioTaskCoro), name: at(asyncioTaskName), size: at(0),
		linked: true, node: at(asyncioTaskNode), interpHead: at(asyncioInterp), threadHead: at(asyncioThread), runningLoop: at(asyncioLoop),
	}
	return t, true
}

// TaskName reads the name of the task at addr; "" if there is none (any more), or
// if its class is not derived from asyncio's own.
func (p *Process) TaskName(t Tasks, addr uint64) string {
	if !p.isTask(t, addr) {
		return ""
	}
	name, err := p.word(addr + uint64(t.task.name))
	if err != nil {
		return ""
	}
	switch p.typeName(name) {
	case "int":
		if n, ok := p.readInt(name); ok {
			return "Task-" + strconv.FormatUint(n, 10)
		}
	case "str":
		obj := []objectRead{{addr: name}}
		if p.readObjects(obj) == nil {
			return obj[0].str()
		}
	}
	return ""
}

// isTask says whether there is a task of asyncio's own at addr.
func (p *Process) isTask(t Tasks, addr uint64) bool {
	if t.task.name == 0 || addr == 0 {
		return false
	}
	class, err := p.word(addr + uint64(p.Layout.ObType))
	if err != nil {
		return false
	}
	ok, err := p.ofTasks(&t.task, class)
	return ok && err == nil
}

// NameAt is where a task keeps its name: a str, or the number of a task without a name. 0: not known.
func (t *Tasks) NameAt() uint32 { return t.task.name }

// NameOfTask is the name of a task at addr, of a class, as it was at the moment when the object of
// the name began with raw: the task may be gone by now, and another one be there. ""
// if the name is not known, or the class not derived from asyncio's own.
func (p *Process) NameOfTask(t Tasks, addr, class uint64, raw []byte) string {
	if uint32(len(raw)) < max(p.objects.intDigits+4, p.Layout.CompactData, p.Layout.ObType+8) || t.task.name == 0 || class == 0 {
		return ""
	}
	if ok, err := p.ofTasks(&t.task, class); !ok || err != nil {
		return ""
	}
	switch p.nameOfType(le64(raw, p.Layout.ObType)) {
	case "int":
		if n, ok := p.intIn(raw); ok {
			return "Task-" + strconv.FormatUint(n, 10)
		}
	case "str":
		o := objectRead{}
		from := o.decodeHead(&p.Layout, raw)
		if o.err == nil && from+uint64(len(o.body)) <= uint64(len(raw)) {
			copy(o.body, raw[from:])
			return o.str()
		}
		if name := p.TaskName(t, addr); strings.HasPrefix(name, p.beginOf(o, raw[min(from, uint64(len(raw))):])) {
			return name
		}
	}
	return ""
}

// beginOf decodes as much of a str as there is.
func (p *Process) beginOf(o objectRead, raw []byte) string {
	if o.err != nil || len(o.body) == 0 {
		return "\x00" // of no name
	}
	raw = raw[:len(raw)/int(o.kind)*int(o.kind)]
	o.body = raw[:min(len(raw), len(o.body))]
	return o.str()
}

// typeName is the name of an object's type.
func (p *Process) typeName(object uint64) string {
	class, err := p.word(object + uint64(p.Layout.ObType))
	if err != nil || class == 0 {
		return ""
	}
	return p.nameOfType(class)
}

// maxTypeName bounds the names of types; those that are looked for are shorter.
const maxTypeName = 32

// nameOfType is the name of a type (tp_name follows the PyVarObject header).
func (p *Process) nameOfType(class uint64) string {
	at, err := p.word(class + uint64(p.Layout.ObType) + 16)
	if err != nil {
		return ""
	}
	var b [maxTypeName]byte
	if p.Read(at, b[:]) != nil && p.Read(at, b[:16]) != nil { // the end of what is mapped may follow
		return ""
	}
	name, _, _ := bytes.Cut(b[:], []byte{0})
	return string(name)
}

// moduleAttribute returns a global of a module of an interpreter; 0: there is none.
func (p *Process) moduleAttribute(interp uint64, module, name string) (uint64, error) {
	dict, err := p.moduleDict(interp, module)
	if err != nil || dict == nil {
		return 0, err
	}
	return p.lookup(dict, name)
}

// moduleAt finds a module of an interpreter; 0: it has not been imported.
func (p *Process) moduleAt(interp uint64, module string) (uint64, error) {
	modules, err := p.word(interp + uint64(p.Layout.InterpModules))
	if err != nil || modules == 0 {
		return 0, err
	}
	entries, err := p.readDict(modules)
	if err != nil {
		return 0, err
	}
	return p.lookup(entries, module)
}

// moduleDict reads the globals of a module of an interpreter; nil: it has not been imported.
func (p *Process) moduleDict(interp uint64, module string) ([]dictEntry, error) {
	at, err := p.moduleAt(interp, module)
	if err != nil || at == 0 {
		return nil, err
	}
	dict, err := p.word(at + uint64(p.objects.moduleDict))
	if err != nil {
		return nil, err
	}
	return p.readDict(dict)
}

// maxSleepingFrames bounds what StackOf follows.
const maxSleepingFrames = 128

// StackOf reads the functions on the stack of a thread that sleeps, leaf first. Of
// one that runs it may read a part, or nothing. Threads have most functions in common:
// those that were read are remembered in seen, which is for one moment.
func (p *Process) StackOf(ts ThreadState, seen map[CodeKey]*Code) []*Code {
	l := &p.Layout
	addr, err := p.word(ts.Addr + uint64(l.ThreadFrame))
	if err == nil && addr != 0 && l.CFrameCurrent != None {
		addr, err = p.word(addr + uint64(l.CFrameCurrent))
	}
	var codes []*Code
	for n := 0; err == nil && addr != 0 && n < maxSleepingFrames; n++ {
		var f frameFields
		if f, err = p.readFrame(addr); err != nil {
			break
		}
		addr = f.back
		if l.FrameOwner != None && f.owner > l.OwnerMaxValid {
			continue
		}
		fields, err := p.readCodeFields(f.code)
		if err != nil {
			break
		}
		key := CodeKey{f.code, fields.ident}
		if seen[key] == nil {
			code, err := p.readCode(fields)
			if err != nil {
				break
			}
			seen[key] = code
		}
		codes = append(codes, seen[key])
	}
	return codes
}
