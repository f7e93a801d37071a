package cpython

import (
	"fmt"
	"strings"
)

// Executor is a concurrent.futures.ThreadPoolExecutor as one of its worker
// threads has it (Lib/concurrent/futures/thread.py).
type Executor struct {
	Addr   uint64 // the object; 0: it is gone, or not known
	Queue  uint64 // the _queue.SimpleQueue that its jobs wait in; 0: not known
	Max    int    // max_workers; 0: not known
	Prefix string // thread_name_prefix
}

// maxWorkers bounds what is believed of max_workers.
const maxWorkers = 1 << 20

// Executors returns the executors of the worker threads with these pthread idents.
// A thread object keeps the arguments of its function while that runs, and the first
// of those of _worker is a weak reference to the executor. What is not as expected
// is left out: the objects change while they are read.
func (p *Process) Executors(idents map[uint64]bool) (map[uint64]Executor, error) {
	found := map[uint64]Executor{}
	interps, err := p.Interpreters()
	if err != nil {
		return nil, err
	}
	places := attributePlaces{}
	for _, i := range interps {
		active, err := p.activeThreads(i.Addr)
		if err != nil {
			continue // it begins or ends, or changes its threads just now
		}
		for _, e := range active {
			if ident, ok := p.readInt(e.key); ok && idents[ident] {
				if x, ok := p.executorOf(e.value, places); ok {
					found[ident] = x
				}
			}
		}
	}
	return found, p.Alive()
}

// attributePlaces remembers, by name, where instances keep an attribute, see
// instanceAttribute.
type attributePlaces map[string]map[uint64]uint64

func (a attributePlaces) of(name string) map[uint64]uint64 {
	if a[name] == nil {
		a[name] = map[uint64]uint64{}
	}
	return a[name]
}

// attribute is the value of an instance's attribute, 0 if it cannot be read.
func (p *Process) attribute(obj uint64, name string, places attributePlaces) uint64 {
	v, err := p.instanceAttribute(obj, name, places.of(name))
	if err != nil {
		return 0
	}
	return v
}

// executorOf reads the arguments that a thread object keeps.
func (p *Process) executorOf(thread uint64, places attributePlaces) (x Executor, ok bool) {
	args, err := p.readTuple(p.attribute(thread, "_args", places))
	if err != nil || len(args) < 2 || !strings.HasPrefix(p.typeName(args[0]), "weakref") {
		return x, false
	}
	for _, arg := range args[1:] {
		if p.typeName(arg) == "_queue.SimpleQueue" {
			x.Queue = arg
			break
		}
	}
	x.Addr, err = p.word(args[0] + p.header()) // wr_object (Include/cpython/weakrefobject.h)
	if err != nil || x.Queue == 0 {
		return x, false
	}
	if p.attribute(x.Addr, "_work_queue", places) != x.Queue {
		x.Addr = 0 // the executor is gone; its workers still do what is in the queue
		return x, true
	}
	if most := p.attribute(x.Addr, "_max_workers", places); p.typeName(most) == "int" {
		if n, ok := p.readInt(most); ok && n <= maxWorkers {
			x.Max = int(n)
		}
	}
	prefix := []objectRead{{addr: p.attribute(x.Addr, "_thread_name_prefix", places)}}
	if p.typeName(prefix[0].addr) == "str" && p.readObjects(prefix) == nil {
		x.Prefix = prefix[0].str()
	}
	return x, true
}

// header is the size of PyObject.
func (p *Process) header() uint64 { return uint64(p.Layout.ObType) + 8 }

// maxTuple bounds the items read of one tuple.
const maxTuple = 16

// readTuple reads the items of a short tuple. The items lie behind ob_size, since 3.14
// behind ob_hash (Include/cpython/tupleobject.h).
func (p *Process) readTuple(addr uint64) ([]uint64, error) {
	if p.typeName(addr) != "tuple" {
		return nil, fmt.Errorf("object at %#x is no tuple: %w", addr, ErrMalformed)
	}
	items := p.header() + 8
	if p.Version.series() >= 0x030e {
		items += 8
	}
	n, err := p.word(addr + p.header())
	if err != nil {
		return nil, err
	}
	if n > maxTuple {
		return nil, fmt.Errorf("tuple of %d items at %#x: %w", n, addr, ErrMalformed)
	}
	return p.words(addr+items, int(n))
}

// words reads n pointers.
func (p *Process) words(addr uint64, n int) ([]uint64, error) {
	raw := make([]byte, 8*n)
	if err := p.Read(addr, raw); err != nil {
		return nil, err
	}
	out := make([]uint64, n)
	for i := range out {
		out[i] = le64(raw, uint32(8*i))
	}
	return out, nil
}

// maxQueued bounds what is believed of the length of a queue.
const maxQueued = 1 << 40

// QueuedJobs reads how many jobs wait in the queue of an executor, and which are the first
// ones, at most limit. None, which is at the end of the queue of an executor that was shut
// down, is no job; it is not noticed behind more than limit jobs.
func (p *Process) QueuedJobs(queue uint64, limit int) (n int, first []uint64, err error) {
	n, first, err = p.SimpleQueue(queue, limit)
	for err == nil && n > 0 && n == len(first) && p.typeName(first[n-1]) == "NoneType" {
		n--
		first = first[:n]
	}
	return n, first, err
}

// SimpleQueue reads how many objects wait in a _queue.SimpleQueue, and which are the first
// ones, at most limit. It is read while it changes: what does not fit together is an
// error, and so is a form that this version of CPython should not have
// (Modules/_queuemodule.c).
func (p *Process) SimpleQueue(addr uint64, limit int) (n int, first []uint64, err error) {
	if p.Version.series() >= 0x030d {
		return p.ringQueue(addr, limit)
	}
	return p.listQueue(addr, limit)
}

func torn(addr uint64) error {
	return fmt.Errorf("queue at %#x: %w", addr, ErrMalformed)
}

// listQueue reads the form up to 3.12: lock, locked, lst, lst_pos. The list is read
// between two looks at where it begins.
func (p *Process) listQueue(addr uint64, limit int) (n int, first []uint64, err error) {
	head, err := p.words(addr+p.header(), 4)
	if err != nil {
		return 0, nil, err
	}
	lst, pos := head[2], head[3]
	if p.typeName(lst) != "list" {
		return 0, nil, torn(addr)
	}
	list, err := p.words(lst+p.header(), 2) // ob_size, ob_item
	if err != nil {
		return 0, nil, err
	}
	if list[0] > maxQueued || pos > list[0] {
		return 0, nil, torn(addr)
	}
	n = int(list[0] - pos)
	if first, err = p.words(list[1]+8*pos, min(n, limit)); err != nil {
		return 0, nil, err
	}
	again, err := p.words(addr+p.header(), 4)
	if err != nil || again[2] != lst || again[3] != pos {
		return 0, nil, torn(addr)
	}
	return n, first, whole(addr, first)
}

// ringQueue reads the form since 3.13: has_threads_waiting, and a RingBuf: put_idx,
// get_idx, items, items_cap, num_items.
func (p *Process) ringQueue(addr uint64, limit int) (n int, first []uint64, err error) {
	ring, err := p.words(addr+p.header()+8, 5)
	if err != nil {
		return 0, nil, err
	}
	put, get, items, capacity, num := ring[0], ring[1], ring[2], ring[3], ring[4]
	if capacity == 0 || capacity > maxQueued || num > capacity || put >= capacity || get >= capacity || (get+num)%capacity != put {
		return 0, nil, torn(addr)
	}
	n = int(num)
	most := uint64(min(n, limit))
	if first, err = p.words(items+8*get, int(min(most, capacity-get))); err != nil {
		return 0, nil, err
	}
	if rest := most - uint64(len(first)); rest > 0 {
		wrapped, err := p.words(items, int(rest))
		if err != nil {
			return 0, nil, err
		}
		first = append(first, wrapped...)
	}
	return n, first, whole(addr, first)
}

// whole says that no object is missing.
func whole(addr uint64, objects []uint64) error {
	for _, o := range objects {
		if o == 0 {
			return torn(addr)
		}
	}
	return nil
}
