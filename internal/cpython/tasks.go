package cpython

import (
	"bytes"
	"strconv"
	"strings"
)

// Tasks is where asyncio keeps its tasks, as the interpreter itself tells from
// 3.14 on (struct _Py_AsyncioModuleDebugOffsets, Modules/_asynciomodule.c). Offsets
// are None where it does not.
type Tasks struct {
	Running uint32 // asyncio_running_task in the thread state
	Name    uint32 // task_name in the task: a str, or the number of a task without a name
}

// asyncioFields is how many u64 the section has: seven of a task, two of the
// interpreter, four of a thread state (checked on 3.14.3, 3.14.10 and 3.15.2).
const (
	asyncioFields    = 13
	asyncioSection   = ".AsyncioDebug"
	asyncioTaskName  = 1
	asyncioRunning   = 11
	maxAsyncioOffset = 1 << 20
)

// Tasks finds the table in the interpreter, or in the extension module _asyncio
// if that has been imported by now.
func (p *Process) Tasks() Tasks {
	none := Tasks{None, None}
	if p.Version.series() < 0x030e {
		return none
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
			return t
		}
	}
	return none
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
	running, name := le64(b, 8*asyncioRunning), le64(b, 8*asyncioTaskName)
	if running >= maxAsyncioOffset || name >= maxAsyncioOffset || running%8 != 0 || name%8 != 0 {
		return t, false
	}
	return Tasks{uint32(running), uint32(name)}, true
}

// TaskName reads the name of the task at addr; "" if there is none (any more), or
// if it is of a class that is not asyncio's own.
func (p *Process) TaskName(t Tasks, addr uint64) string {
	if t.Name == None || addr == 0 || p.typeName(addr) != "_asyncio.Task" {
		return ""
	}
	name, err := p.word(addr + uint64(t.Name))
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

// typeName is the name of an object's type (tp_name follows the PyVarObject header).
func (p *Process) typeName(object uint64) string {
	class, err := p.word(object + uint64(p.Layout.ObType))
	if err != nil || class == 0 {
		return ""
	}
	at, err := p.word(class + uint64(p.Layout.ObType) + 16)
	if err != nil {
		return ""
	}
	var b [24]byte
	if p.Read(at, b[:]) != nil {
		return ""
	}
	name, _, _ := bytes.Cut(b[:], []byte{0})
	return string(name)
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
