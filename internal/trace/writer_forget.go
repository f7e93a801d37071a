package trace

// A recording may last for weeks while threads and processes come and go: what
// the Writer knows of them must not grow with those that are gone.

// graceGenerations is how long something must not have been used before it is
// forgotten: news of a thread may come some 100 ms after its end.
const graceGenerations = 2

// lives follows whether a thread is in a slice, and whether it exists.
func (t *thread) lives(k Kind) {
	switch Specs[k].Form {
	case FormBegin:
		t.open++
	case FormEnd:
		t.open = max(t.open-1, 0)
	}
	switch k {
	case ThreadStart:
		t.exited = false
	case ThreadExit:
		t.exited = true
	}
}

// forget drops those who have ended, and those whom nobody introduced and who
// were not met again (numbers of threads that the memory of a target held). If
// one of them comes back after all it gets new tracks, and Perfetto takes it for
// another thread of the same number; so who is in a slice is kept.
func (w *Writer) forget() {
	w.last = nil
	for key, t := range w.threads {
		if (t.exited || t.proc.exited || !t.declared) && t.open == 0 && w.unused(t.seen) {
			delete(w.threads, key)
			t.proc.threads--
			if w.byTID[t.tid] == t {
				delete(w.byTID, t.tid)
			}
		}
	}
	for tid, t := range w.byTID {
		if t.proc == nil && w.unused(t.seen) { // only the scheduler named it
			delete(w.byTID, tid)
		}
	}
	for pid, p := range w.procs {
		if (p.exited || !p.declared) && p.threads == 0 && !p.held() && w.unused(p.seen) {
			delete(w.procs, pid)
		}
	}
	w.forgetNames()
}

func (w *Writer) unused(seen uint32) bool { return seen+graceGenerations <= w.in.gen }

// held says that a slice of a holder lane is open.
func (p *process) held() bool {
	for i := range p.gils {
		if p.gils[i].held {
			return true
		}
	}
	return false
}

// forgetNames numbers the names of threads anew when most of them are no
// thread's any more. At the begin of a generation their numbers mean nothing.
func (w *Writer) forgetNames() {
	if len(w.in.names) < 1024+4*(len(w.threads)+len(w.byTID)) {
		return
	}
	names := w.in.names
	w.in.names, w.in.nameIDs = nil, map[string]uint32{}
	for _, t := range w.threads {
		t.nameID = w.in.name(names[t.nameID].text)
	}
	for _, t := range w.byTID {
		if t.proc == nil || t.tid == OtherTID {
			t.nameID = w.in.name(names[t.nameID].text)
		}
	}
}
