package cpython

import "fmt"

// FunctionSite plans a probe on a function of the interpreter by its name. It finds only the function
// itself, not the copies that compilers make, whose arguments may differ.
func (p *Process) FunctionSite(name string) (Site, error) {
	c, err := p.runtimeModule()
	if err != nil {
		return Site{}, err
	}
	t := c.mod.functions()
	for _, s := range t.withPrefix(name) {
		if t.name(&s) == name && c.mod.img.executable(s.value) {
			return p.siteAt(name, s.value+c.bias)
		}
	}
	return Site{}, fmt.Errorf("plan a probe on %s in process %d: %w in %q: install its debug symbols", name, p.PID, ErrNoSymbol, p.Build.Path)
}

// StrIn is the text of a str of which raw is the begin of the object; "" if it is none, or goes on behind that.
func (p *Process) StrIn(raw []byte) string {
	l := &p.Layout
	if uint32(len(raw)) < max(l.ObType+8, l.StrState+4, l.StrLength+8) {
		return ""
	}
	o := objectRead{}
	from := o.decodeHead(l, raw)
	if o.err != nil || from+uint64(len(o.body)) > uint64(len(raw)) {
		return ""
	}
	copy(o.body, raw[from:])
	return o.str()
}
