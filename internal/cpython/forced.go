package cpython

// maxRoles bounds the remembered roles of one process.
const maxRoles = 1 << 14

// frameRole is what a function in the chain above a drop tells.
type frameRole uint8

// Roles.
const (
	roleOther   frameRole = iota // any other function: the drop is its wish
	roleDrop                     // drops the GIL for its caller
	rolePending                  // works off requests for the eval loop: forced
	roleEval                     // the eval loop
	roleUnnamed                  // no symbol
)

var roles = map[string]frameRole{
	"drop_gil": roleDrop, "drop_gil_impl": roleDrop, "detach_thread": roleDrop, "_PyThreadState_Detach": roleDrop,
	"_Py_HandlePending": rolePending, "eval_frame_handle_pending": rolePending,
	"_PyEval_EvalFrameDefault": roleEval,
}

// maxDropDepth bounds the functions between the eval loop and the drop: the
// longest chain is _Py_HandlePending, _PyThreadState_Detach, detach_thread, drop_gil.
const maxDropDepth = 6

// ForcedDrop tells a forced GIL drop (the eval loop obeys a drop request) from a
// voluntary one, by the functions above it. pc is the return address on entry
// of pthread_cond_signal, sp the stack pointer after popping it, stack the bytes
// from sp. known is false where the chain could not be followed.
func (p *Process) ForcedDrop(pc, sp uint64, stack []byte) (forced, known bool) {
	r := registers{pc: pc, sp: sp, isReturn: true}
	view := &stackView{base: sp, bytes: stack}
	unnamed := 0
	for range maxDropDepth {
		role := p.roleAt(r.lookupPC())
		switch role {
		case roleOther:
			return false, true
		case rolePending:
			return true, true
		case roleEval:
			// From 3.13 on the eval loop drops through _Py_HandlePending only, whose
			// name every build exports; an unnamed function between them is a C
			// function whose call the compiler made direct.
			return unnamed == 0 || p.Version.series() < 0x030d, true
		case roleUnnamed:
			unnamed++
		}
		next, ok := p.caller(r, view)
		if !ok || next.sp <= r.sp {
			return false, false
		}
		// In a stripped file drop_gil has no name. It is told from a C function
		// that drops by its own wish (os.stat, with drop_gil inlined) by how it is
		// entered: by a direct call; C functions through their method table.
		if role == roleUnnamed && !p.calledDirectly(r, next) {
			return false, true
		}
		r = next
	}
	return false, true
}

// calledDirectly says whether the call that returns to caller names the
// function of r, or one that tail-calls it.
func (p *Process) calledDirectly(r, caller registers) bool {
	c, ok := p.codeAt(r.lookupPC())
	if !ok {
		return false
	}
	entry, ok := c.mod.entryOf(r.lookupPC() - c.bias)
	target, direct := p.callTarget(caller.pc)
	return ok && direct && p.reaches(target, entry+c.bias)
}

// roleAt returns the role of the function at pc.
func (p *Process) roleAt(pc uint64) frameRole {
	p.mu.Lock()
	role, ok := p.roles[pc]
	p.mu.Unlock()
	if ok {
		return role
	}
	s := p.Symbolize(pc)
	switch role, ok = roles[s.Function]; {
	case s.Module != p.Build.Path:
		role = roleOther
	case s.Function == "":
		role = roleUnnamed
	case !ok:
		role = roleOther
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.roles) >= maxRoles {
		clear(p.roles)
	}
	p.roles[pc] = role
	return role
}
