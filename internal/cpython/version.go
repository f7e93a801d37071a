package cpython

import (
	"encoding/binary"
	"fmt"
	"os"
	"regexp"
	"strconv"
)

// learnLayout finds the version and the layout that belongs to it: from
// _Py_DebugOffsets (3.13+), else from Py_Version (3.11+) or Py_GetVersion.
func (p *Process) learnLayout(c *candidate) error {
	table, err := p.readDebugOffsets()
	if err != nil {
		return fmt.Errorf("process %d: %w", p.PID, err)
	}
	if table != nil {
		p.Version, p.Layout, p.objects = table.version, table.layout, table.objects
		p.Build.FreeThreaded = table.freeThreaded
		return nil
	}
	if p.Version, err = findVersion(c); err != nil {
		return fmt.Errorf("process %d (%q): %w", p.PID, c.m.Path, err)
	}
	if cpu := p.cpu(); !cpu.layouts {
		return fmt.Errorf("process %d (%q): CPython %v: %w on %s; gilscope needs Python 3.13 or newer there", p.PID, c.m.Path, p.Version, ErrUnsupported, cpu.name)
	}
	if p.Layout, err = tableLayout(p.Version); err != nil {
		return fmt.Errorf("process %d (%q): %w", p.PID, c.m.Path, err)
	}
	p.objects = objectsOf(p.Version)
	return nil
}

// readDebugOffsets reads the table at the start of _PyRuntime, nil before 3.13.
func (p *Process) readDebugOffsets() (*debugTable, error) {
	b := make([]byte, maxDebugOffsets)
	if err := p.Read(p.Runtime, b); err != nil {
		return nil, err
	}
	t, ok, err := parseDebugOffsets(b)
	if err != nil || !ok {
		return nil, err
	}
	return t, nil
}

// findVersion finds the version of an interpreter without _Py_DebugOffsets.
func findVersion(c *candidate) (Version, error) {
	dyn := c.mod.dynamic()
	if s, ok := dyn.find("Py_Version"); ok { // const unsigned long, 3.11+
		b, err := c.mod.img.readVaddr(s.value, 8)
		if err != nil {
			return 0, err
		}
		return Version(binary.LittleEndian.Uint64(b)), nil
	}
	if s, ok := dyn.find("Py_GetVersion"); ok {
		if v, ok := versionFromCode(c.mod.img, s); ok {
			return v, nil
		}
	}
	return 0, fmt.Errorf("cannot tell the version (neither Py_Version nor the text in Py_GetVersion): %w; gilscope knows 3.8 to 3.15", ErrUnsupported)
}

var versionText = regexp.MustCompile(`^3\.(\d{1,2})\.(\d{1,3})(?:\+|(a|b|rc)(\d{1,2})\+?)?$`)

// versionFromCode finds PY_VERSION, a string constant that Py_GetVersion passes
// to PyOS_snprintf (CPython Python/getversion.c): it tries each address that the
// code of the function loads. Works in stripped builds, the name is public API.
func versionFromCode(img *image, s symbol) (Version, bool) {
	code, err := img.readVaddr(s.value, min(max(s.size, 64), 512))
	if err != nil {
		return 0, false
	}
	for i := 0; i+7 <= len(code); i++ {
		rel := int64(int32(binary.LittleEndian.Uint32(code[i+3:])))
		addr := uint64(int64(s.value) + int64(i) + 7 + rel) // lea reg, [rip+rel]
		if code[i]&0xf8 != 0x48 || code[i+1] != 0x8d || code[i+2]&0xc7 != 0x05 {
			if code[i]&0xf8 != 0xb8 { // mov reg32, address (static, not PIE)
				continue
			}
			addr = uint64(binary.LittleEndian.Uint32(code[i+1:]))
		}
		text, err := img.readVaddr(addr, 16)
		if err != nil {
			continue
		}
		if v, ok := parseVersion(cstring(text, 0, 16)); ok {
			return v, true
		}
	}
	return 0, false
}

// parseVersion reads "3.10.13", "3.12.0rc1" or "3.11.2+".
func parseVersion(s string) (Version, bool) {
	m := versionText.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	minor, _ := strconv.Atoi(m[1])
	micro, _ := strconv.Atoi(m[2])
	serial, _ := strconv.Atoi(m[4])
	v := MakeVersion(3, minor, micro)
	if level := map[string]Version{"a": 0xa0, "b": 0xb0, "rc": 0xc0}[m[3]]; level != 0 {
		v = v&^0xff | level | Version(serial&0xf)
	}
	return v, micro < 256
}

// readLink returns the path of the executable of pid.
func readLink(pid int) (string, error) {
	return os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
}
