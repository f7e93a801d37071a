package cpython

// taskCounter is where the module _asyncio counts the tasks that were made without a name, for it calls them by
// that number (asyncio_state.task_name_counter, Modules/_asynciomodule.c; measured on 3.12.1, 3.13.0 and
// 3.13.18, 3.14.6 and 3.14.10, and 3.15.2). Up to 3.11 the number is a static variable that nothing leads to.
type taskCounter struct {
	state   uint64 // of the module's own data, in the module
	size    uint64 // of the size of that data: in the module (3.15), or in its definition
	bytes   uint64 // which it must have
	counter uint64
}

var taskCounters = map[uint32]taskCounter{
	0x030c: {state: 32, size: 56, bytes: 192, counter: 168},
	0x030d: {state: 32, size: 56, bytes: 176, counter: 152},
	0x030e: {state: 32, size: 56, bytes: 160, counter: 144},
	0x030f: {state: 24, size: 56, bytes: 160, counter: 144},
}

// moduleDefinition is where a module has its PyModuleDef (up to 3.14).
const moduleDefinition = 24

// UnnamedTasks is how many tasks without a name of their own the process has made so far; false: it is not known.
func (p *Process) UnnamedTasks() (made uint64, ok bool) {
	c, known := taskCounters[p.Version.series()]
	if !known || p.Build.FreeThreaded {
		return 0, false
	}
	interps, err := p.Interpreters()
	if err != nil {
		return 0, false
	}
	for _, i := range interps {
		module, err := p.moduleAt(i.Addr, "_asyncio")
		if err != nil {
			return 0, false
		}
		if module == 0 {
			continue
		}
		n, ok := p.taskCount(module, c)
		if !ok {
			return 0, false
		}
		made += n
	}
	return made, true
}

// taskCount reads the counter of one module, whose data must have the size that is known.
func (p *Process) taskCount(module uint64, c taskCounter) (uint64, bool) {
	if p.typeName(module) != "module" {
		return 0, false
	}
	sized := module
	if p.Version.series() < 0x030f {
		def, err := p.word(module + moduleDefinition)
		if err != nil || def == 0 {
			return 0, false
		}
		sized = def
	}
	size, err := p.word(sized + c.size)
	if err != nil || size != c.bytes {
		return 0, false
	}
	state, err := p.word(module + c.state)
	if err != nil || state == 0 {
		return 0, false
	}
	n, err := p.word(state + c.counter)
	return n, err == nil && n < 1<<62
}
