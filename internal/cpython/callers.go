package cpython

// maxAbove bounds the functions of the interpreter that are looked at above one.
const maxAbove = 4

// CallerAmong is the innermost function above a call that the caller looks for; "": there is none near. It
// is looked for in the interpreter only, up to the evaluation of Python code. pc is the return address of the
// call, sp the stack pointer after it is popped, stack the bytes from there.
func (p *Process) CallerAmong(pc, sp uint64, stack []byte, wanted func(function string) bool) (found string) {
	depth := 0
	p.unwind(registers{pc: pc, sp: sp, isReturn: true}, stack, func(r registers) bool {
		s := p.Symbolize(r.lookupPC())
		if s.Module == p.Build.Path && wanted(s.Function) {
			found = s.Function
		}
		depth++
		return found != "" || s.Module != p.Build.Path || s.Function == "_PyEval_EvalFrameDefault" || depth == maxAbove
	})
	return found
}
