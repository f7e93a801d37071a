package cpython

import "fmt"

// objectKind is what an object is to the chain of awaits of a task.
type objectKind uint8

const (
	kindOther objectKind = iota
	kindNone
	kindTask
	kindCoroutine
	kindGenerator
	kindAsyncGenerator
	kindWrapper // leads to another one
)

// kindNames are the types that CPython names so; a type of a program's own is none of them.
var kindNames = map[string]objectKind{
	"NoneType": kindNone, "coroutine": kindCoroutine, "generator": kindGenerator, "async_generator": kindAsyncGenerator,
	"coroutine_wrapper": kindWrapper, "async_generator_asend": kindWrapper, "async_generator_athrow": kindWrapper,
}

// maxAwaits bounds a chain of awaits, and maxBases the bases of a class.
const (
	maxAwaits = 256
	maxBases  = 16
)

// kindsOf tells what objects are, by their types.
func (r *taskReader) kindsOf(objects []uint64) ([]objectKind, error) {
	at := make([]uint64, len(objects))
	for i := range at {
		at[i] = objects[i] + uint64(r.p.Layout.ObType)
	}
	classes, err := r.words(at)
	if err != nil {
		return nil, err
	}
	kinds := make([]objectKind, len(objects))
	for i, class := range classes {
		k, ok := r.kinds[class]
		if !ok {
			if k, err = r.kindOf(class); err != nil {
				return nil, err
			}
			r.kinds[class] = k
		}
		kinds[i] = k
	}
	return kinds, nil
}

// kindOf tells what the objects of a class are.
func (r *taskReader) kindOf(class uint64) (objectKind, error) {
	flags, err := r.p.word(class + uint64(r.p.objects.typeFlags))
	if err != nil {
		return kindOther, err
	}
	if flags&typeHeap == 0 {
		if k, ok := kindNames[r.p.nameOfType(class)]; ok {
			return k, nil
		}
	}
	if ok, err := r.p.ofTasks(&r.t.task, class); !ok {
		return kindOther, err
	}
	return kindTask, nil
}

// ofTasks says whether a class is asyncio's own of tasks, or derived from it. Its
// struct has to have the size that is known.
func (p *Process) ofTasks(l *taskLayout, class uint64) (ok bool, err error) {
	for n := 0; err == nil && class != 0 && n < maxBases; n++ {
		if p.nameOfType(class) == taskType {
			size, err := p.word(class + typeSize)
			return size == uint64(l.size), err
		}
		class, err = p.word(class + typeBase)
	}
	return false, err
}

// awaiting is a chain that is being followed.
type awaiting struct {
	task *Task
	at   uint64     // the object that is awaited,
	kind objectKind // and what it is
}

// follow fills in the frames of tasks: all chains at a time, one step after the other.
func (r *taskReader) follow(tasks []Task) error {
	chains := make([]awaiting, len(tasks))
	for i := range tasks {
		chains[i] = awaiting{task: &tasks[i], at: tasks[i].Coro}
	}
	for n := 0; len(chains) > 0; n++ {
		if n == 1 && !r.chains {
			for i := range tasks {
				tasks[i].Frames = nil
			}
			return nil
		}
		if n == maxAwaits {
			return errTasksMoved // a cycle, which awaits cannot make
		}
		at := make([]uint64, len(chains))
		for i := range chains {
			at[i] = chains[i].at
		}
		kinds, err := r.kindsOf(at)
		if err != nil {
			return err
		}
		coroutines, next := chains[:0:0], chains[:0:0]
		for i, c := range chains {
			switch c.kind = kinds[i]; c.kind {
			case kindWrapper:
				if c.at, err = r.p.word(c.at + firstField); err != nil {
					return err
				}
				if c.at != 0 {
					next = append(next, c)
				}
			case kindCoroutine, kindGenerator, kindAsyncGenerator:
				coroutines = append(coroutines, c)
			}
		}
		if coroutines, err = r.step(coroutines); err != nil {
			return err
		}
		chains = append(next, coroutines...)
	}
	return nil
}

// step takes down where coroutines stand, and returns the chains that go on, at what
// they await.
func (r *taskReader) step(chains []awaiting) ([]awaiting, error) {
	bodies, frames, err := r.frames(chains)
	if err != nil {
		return nil, err
	}
	l := &r.p.objects.coroutine
	var goOn []awaiting
	var tops []uint64
	for i, c := range chains {
		if frames[i].buf == nil { // it has ended
			continue
		}
		suspended, awaits := l.suspended(bodies[i], frames[i].buf, c.kind)
		if !suspended {
			c.task.Phase, c.task.Frames = TaskRuns, nil
			continue
		}
		f := r.p.decodeFrame(frames[i].addr, frames[i].buf)
		if f.copied || l.state != None && !l.apart && f.owner != ownerGenerator {
			return nil, errTasksMoved
		}
		c.task.Frames = append(c.task.Frames, TaskFrame{Code: CodeKey{Addr: f.code}, Lasti: int32(f.at)})
		if !awaits {
			continue
		}
		top, ok := l.top(frames[i])
		if !ok {
			return nil, errTasksMoved
		}
		goOn, tops = append(goOn, c), append(tops, top)
	}
	awaited, err := r.words(tops)
	if err != nil {
		return nil, err
	}
	live := goOn[:0]
	for i, c := range goOn {
		if c.at = awaited[i] &^ 7; c.at != 0 { // 3.14+ tags what is on the stack
			live = append(live, c)
		}
	}
	return live, nil
}

// ownerGenerator is the owner of the frame of a coroutine (enum _frameowner, 3.11+).
const ownerGenerator = 1

// frames reads the objects of coroutines, and their frames; the frame of one that
// has ended has no buf.
func (r *taskReader) frames(chains []awaiting) (bodies [][]byte, frames []span, err error) {
	p, l := r.p, &r.p.objects.coroutine
	at := make([]uint64, len(chains))
	for i := range at {
		at[i] = chains[i].at
	}
	size := p.frameSize()
	size = max(size, l.stack+8)
	if l.values != None {
		size = max(size, l.values+8)
	}
	frames = make([]span, len(chains))
	if !l.apart {
		bodies, err = r.blocks(at, l.frame+size)
		for i := range bodies {
			frames[i] = span{addr: at[i] + uint64(l.frame), buf: bodies[i][l.frame:]}
		}
		return bodies, frames, err
	}
	if l.state != None {
		size = max(size, l.state+1)
	}
	if bodies, err = r.blocks(at, l.frame+16); err != nil {
		return nil, nil, err
	}
	var where []uint64
	for i := range bodies {
		if frames[i].addr = le64(bodies[i], l.frame); frames[i].addr != 0 {
			where = append(where, frames[i].addr)
		}
	}
	blocks, err := r.blocks(where, size)
	if err != nil {
		return nil, nil, err
	}
	for i := range frames {
		if frames[i].addr != 0 {
			frames[i].buf, blocks = blocks[0], blocks[1:]
		}
	}
	return bodies, frames, nil
}

// suspended tells from a coroutine and its frame whether it stands still (else it
// runs, or has just ended), and if so, whether it awaits something.
func (l *coroutineLayout) suspended(body, frame []byte, kind objectKind) (yes, awaits bool) {
	if l.state == None { // 3.8, 3.9: gi_running follows gi_frame; f_lasti is -1 before the first step
		if body[l.frame+8] != 0 || le64(frame, l.stack) == 0 {
			return false, false
		}
		return true, kind != kindGenerator && int32(le32(frame, lastiBefore310)) >= 0
	}
	from := body
	if l.apart {
		from = frame
	}
	state := int8(from[l.state])
	awaits = state >= l.states.first && state <= l.states.last
	return state >= l.states.created && state <= l.states.last, awaits && (l.tellsAwait() || kind != kindGenerator)
}

// lastiBefore310 is f_lasti of 3.8 and 3.9.
const lastiBefore310 = 104

// maxValueStack bounds the values on the stack of a frame.
const maxValueStack = 1 << 16

// top is where on the stack of a suspended frame stands what it awaits.
func (l *coroutineLayout) top(frame span) (addr uint64, ok bool) {
	if l.values == None {
		end := le64(frame.buf, l.stack)
		return end - 8*l.slot, end%8 == 0 && end > 8*l.slot
	}
	n := uint64(le32(frame.buf, l.stack))
	if n < l.slot || n > maxValueStack {
		return 0, false
	}
	values := frame.addr + uint64(l.values)
	if l.apart {
		values = le64(frame.buf, l.values)
	}
	return values + 8*(n-l.slot), true
}

// identify completes the keys of the code objects of frames.
func (r *taskReader) identify(tasks []Task) error {
	known := map[uint64]uint32{}
	for i := range tasks {
		for k := range tasks[i].Frames {
			code := &tasks[i].Frames[k].Code
			ident, ok := known[code.Addr]
			if !ok {
				f, err := r.p.readCodeFields(code.Addr)
				if err != nil {
					return fmt.Errorf("the code of a task: %w", err)
				}
				ident = f.ident
				known[code.Addr] = ident
			}
			code.Ident = ident
		}
	}
	return nil
}
