package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/cilium/ebpf"
)

// left says what a recording has left in the kernel and in the process that it
// recorded, "" if nothing.
func left(pid int) (string, error) {
	programs, err := programsLeft()
	if err != nil {
		return "", err
	}
	changed, err := changedCode(pid)
	if err != nil {
		return "", err
	}
	var all []string
	if programs > 0 {
		all = append(all, fmt.Sprintf("%d BPF programs", programs))
	}
	if changed != "" {
		all = append(all, changed)
	}
	return strings.Join(all, ", "), nil
}

// programsLeft counts the loaded BPF programs; nothing else here has any. The
// kernel frees them some time after the last use.
func programsLeft() (int, error) {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		n := 0
		id, err := ebpf.ProgramGetNextID(0)
		for ; err == nil; id, err = ebpf.ProgramGetNextID(id) {
			n++
		}
		if !errors.Is(err, os.ErrNotExist) {
			return 0, fmt.Errorf("list BPF programs: %w", err)
		}
		if n == 0 || time.Now().After(end) {
			return n, nil
		}
	}
}

// changedCode compares the code that a process has mapped with the files that it
// comes from: a breakpoint that is still there makes a difference.
func changedCode(pid int) (string, error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return "", err
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return "", err
	}
	defer mem.Close()
	for line := range strings.Lines(string(maps)) {
		var from, to, offset, inode int64
		var perms, device, path string
		n, _ := fmt.Sscanf(line, "%x-%x %s %x %s %d %s", &from, &to, &perms, &offset, &device, &inode, &path)
		if n != 7 || !strings.Contains(perms, "x") || !strings.HasPrefix(path, "/") {
			continue
		}
		mapped := make([]byte, to-from)
		if _, err := mem.ReadAt(mapped, from); err != nil {
			return "", fmt.Errorf("read %s in pid %d: %w", path, pid, err)
		}
		file, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		file = file[offset:min(offset+to-from, int64(len(file)))]
		if !bytes.Equal(mapped[:len(file)], file) {
			return "changed code of " + path, nil
		}
	}
	return "", nil
}
