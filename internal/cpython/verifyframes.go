package cpython

import (
	"cmp"
	"errors"
	"fmt"
	"os"
)

// What is looked at for a sound stack.
const (
	maxVerifiedThreads = 64
	maxVerifiedFrames  = 512
	verifyTries        = 300 // a stack may change while it is read; 50 were not enough in one of 5000 runs
	maxOwner           = 4   // the greatest value of enum _frameowner (3.14+)
)

// verifyFrames checks the lists of interpreters and threads, and the offsets of
// frames and code objects: if any thread has Python frames, then those of one
// lead to an outermost, which is at an instruction of a code object with a name,
// a file and a line table. That no thread runs Python code, as in a program that
// embeds it, is a reason to refuse only a version whose structs are not known.
func (p *Process) verifyFrames() error {
	var wrong error
	for range verifyTries {
		found := false
		if wrong = p.checkLists(); wrong == nil {
			found, wrong = p.anyStack()
		}
		if found || wrong == nil && p.Version.series() <= newestKnown {
			return nil
		}
		if errors.Is(wrong, ErrGone) || errors.Is(wrong, ErrPermission) {
			return wrong
		}
	}
	return p.implausible("no thread has a sound stack", wrong)
}

// checkLists finds the main interpreter in the list of interpreters, and the
// head of its list of threads.
func (p *Process) checkLists() error {
	l := &p.Layout
	addr, err := p.word(p.Runtime + uint64(l.RuntimeInterpretersHead))
	for n := 0; err == nil && addr != p.interp; n++ {
		if addr == 0 || n == maxInterpreters {
			return fmt.Errorf("the main interpreter is not in the list: %w", ErrMalformed)
		}
		addr, err = p.word(addr + uint64(l.InterpNext))
	}
	if err != nil {
		return err
	}
	thread, err := p.word(p.interp + uint64(l.InterpThreadsHead))
	if err != nil {
		return err
	}
	prev, err := p.word(thread + uint64(l.ThreadPrev))
	if err == nil && prev != 0 {
		err = fmt.Errorf("the first thread has one before it: %w", ErrMalformed)
	}
	return err
}

// anyStack looks for a thread of the main interpreter with a sound stack. If
// there is none, wrong says what the first one lacked; nil: there are no frames.
func (p *Process) anyStack() (found bool, wrong error) {
	thread, err := p.word(p.interp + uint64(p.Layout.InterpThreadsHead))
	for n := 0; err == nil && thread != 0 && n < maxVerifiedThreads; n++ {
		found, err := p.checkThread(thread)
		if found && err == nil {
			return true, nil
		}
		wrong = cmp.Or(wrong, err)
		if thread, err = p.word(thread + uint64(p.Layout.ThreadNext)); err != nil {
			return false, cmp.Or(wrong, err)
		}
	}
	return false, cmp.Or(wrong, err)
}

// checkThread follows the stack of one thread to its outermost Python frame and
// checks that one; found is false if there is none. What lies above may change
// all the time, so a frame there only has to lead on.
func (p *Process) checkThread(thread uint64) (found bool, err error) {
	l := &p.Layout
	if l.ThreadNativeID != None && p.Version.series() > newestKnown {
		id, err := p.word(thread + uint64(l.ThreadNativeID))
		if err != nil || !p.hasThread(id) {
			return false, fmt.Errorf("no thread has the id %d: %w", id, cmp.Or(err, ErrMalformed))
		}
	}
	addr, err := p.word(thread + uint64(l.ThreadFrame))
	if err == nil && addr != 0 && l.CFrameCurrent != None {
		addr, err = p.word(addr + uint64(l.CFrameCurrent))
	}
	var outermost frameFields
	for n := 0; err == nil && addr != 0 && n < maxVerifiedFrames; n++ {
		var f frameFields
		if f, err = p.readFrame(addr); f.owner <= l.OwnerMaxValid || f.owner > maxOwner {
			outermost = f
		}
		addr = f.back
	}
	if err != nil || outermost == (frameFields{}) {
		return false, err
	}
	return true, p.checkFrame(outermost)
}

// hasThread says whether the process has that thread. In a pid namespace of its
// own its numbers are others than ours, and any is taken.
func (p *Process) hasThread(id uint64) bool {
	if len(nsIDs(p.PID, p.PID)) > 1 {
		return true
	}
	_, err := os.Stat(fmt.Sprintf("/proc/%d/task/%d", p.PID, id))
	return err == nil
}

// frameFields is one frame.
type frameFields struct {
	addr, back uint64
	owner      uint32 // enum _frameowner, 0 before 3.11
	code       uint64
	at         int64 // bytes from the first instruction
	copied     bool  // at is unknown: the thread runs a copy of the code
}

// frameSize is how much of a frame is read.
func (p *Process) frameSize() uint32 {
	l := &p.Layout
	size := max(l.FrameCode, l.FrameBack, l.FrameInstr) + 8
	if l.FrameOwner != None {
		size = max(size, l.FrameOwner+1)
	}
	if l.FrameTLBC != None {
		size = max(size, l.FrameTLBC+4)
	}
	return size
}

// readFrame reads the frame at addr.
func (p *Process) readFrame(addr uint64) (f frameFields, err error) {
	b := make([]byte, p.frameSize())
	if err := p.Read(addr, b); err != nil {
		return f, err
	}
	return p.decodeFrame(addr, b), nil
}

// decodeFrame takes the fields out of what was read of a frame.
func (p *Process) decodeFrame(addr uint64, b []byte) frameFields {
	l := &p.Layout
	f := frameFields{addr: addr, back: le64(b, l.FrameBack), code: le64(b, l.FrameCode) & l.CodeMask}
	f.at = int64(le64(b, l.FrameInstr) - f.code - uint64(l.CodeAdaptive))
	if l.InstrUnit != 0 {
		f.at = int64(int32(le32(b, l.FrameInstr))) * int64(l.InstrUnit)
	}
	if l.FrameOwner != None {
		f.owner = uint32(b[l.FrameOwner])
	}
	f.copied = l.FrameTLBC != None && le32(b, l.FrameTLBC) != 0
	return f
}

// checkFrame checks a Python frame.
func (p *Process) checkFrame(f frameFields) error {
	if f.owner > maxOwner {
		return fmt.Errorf("frame %#x has the owner %d: %w", f.addr, f.owner, ErrMalformed)
	}
	fields, err := p.readCodeFields(f.code)
	if err != nil {
		return err
	}
	code, err := p.readCode(fields)
	switch {
	case err != nil:
		return err
	case !code.typed:
		return fmt.Errorf("code object %#x has no line table: %w", f.code, ErrMalformed)
	case !f.copied && (f.at < -2 || f.at >= int64(min(code.length, 1<<31))):
		return fmt.Errorf("frame %#x is at byte %d of %d: %w", f.addr, f.at, code.length, ErrMalformed)
	}
	return nil
}
