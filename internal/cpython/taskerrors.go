package cpython

// Bounds of what is read of tasks that failed: of more of them, nothing but how many there are,
// and nothing of a traceback that is longer.
const (
	maxFailed    = 256
	maxTraceback = 64
)

// KeepsFailed says whether tasks that are done can be found: up to 3.13 asyncio's sets have all that
// live, since then its lists those that are not done.
func (t *Tasks) KeepsFailed() bool { return t.known && !t.task.linked }

// raised tells what a task that failed raised and, if it is to be read, where.
func (r *taskReader) raised(t *Task, whole bool) error {
	if !whole {
		return nil
	}
	if t.Raised = r.p.typeName(t.exception); t.Raised == "" {
		return errTasksMoved
	}
	at, err := r.p.word(t.exception + tracebackAt(r.p.Version))
	if err != nil {
		return err
	}
	var b [tracebackSize]byte
	for n := 0; at != 0; n++ {
		if n == maxTraceback || r.p.typeName(at) != "traceback" {
			t.Frames = nil
			return nil
		}
		if err := r.p.Read(at, b[:]); err != nil {
			return err
		}
		frame := le64(b[:], tracebackFrame)
		if r.p.Version.series() >= 0x030b {
			if frame, err = r.p.word(frame + frameInside); err != nil {
				return err
			}
		}
		code, err := r.p.word(frame + uint64(r.p.Layout.FrameCode))
		if err != nil {
			return err
		}
		t.Frames = append(t.Frames, TaskFrame{Code: CodeKey{Addr: code & r.p.Layout.CodeMask}, Lasti: int32(le32(b[:], tracebackLasti))})
		at = le64(b[:], tracebackNext)
	}
	return nil
}
