package cpython

import "slices"

// SharedWord is a place in memory that processes share: the same one in each of them,
// wherever it is mapped. Files of shared memory have a device and an inode of their own also
// where they have no name any more, or never had one (proc_pid_maps(5)).
type SharedWord struct {
	Dev, Inode uint64
	Offset     uint64 // in the file
}

// maxShared bounds the shared mappings that are kept of one process.
const maxShared = 1 << 12

// SharedMappings are the shared mappings of files in a process, by address.
func SharedMappings(pid int) ([]Mapping, error) {
	maps, err := readMaps(pid)
	if err != nil {
		return nil, err
	}
	maps = slices.DeleteFunc(maps, func(m Mapping) bool { return !m.Shared || m.Inode == 0 })
	return slices.Clone(maps[:min(len(maps), maxShared)]), nil
}

// FindShared is what lies at an address; false: nothing that processes share.
func FindShared(maps []Mapping, addr uint64) (SharedWord, bool) {
	m := findMapping(maps, addr)
	if m == nil {
		return SharedWord{}, false
	}
	return SharedWord{m.Dev, m.Inode, m.Offset + addr - m.Start}, true
}

// sharedLock reads the object at addr if it is what multiprocessing has for its locks and
// semaphores (SemLockObject in Modules/_multiprocessing/semaphore.c: handle, last_tid, count, maxvalue).
func (p *Process) sharedLock(addr uint64) (Lock, bool) {
	if p.typeName(addr) != semLock {
		return Lock{}, false
	}
	var b [24]byte
	if p.Read(addr+p.header(), b[:]) != nil {
		return Lock{}, false
	}
	l := Lock{Object: addr, Type: TypeSharedSemaphore, word: le64(b[:], 0)}
	if le32(b[:], 20) == 1 { // a Semaphore may be given back as often as one likes, a lock is free or not
		l.Type = TypeSharedLock
	}
	return l, true
}

// semLock is the type of such objects (tp_name).
const semLock = "_multiprocessing.SemLock"
