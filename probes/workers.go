package probes

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// WatchWorker makes a thread of a target a worker of an executor: from now on it shows
// its stack whenever it sleeps in futex or poll, and if it reads its jobs from a pipe also
// in read.
func (s *Session) WatchWorker(tid int32, reads bool) error {
	w := bpfWorker{On: 1, Reads: bit(reads)}
	if err := s.objs.Workers.Update(uint32(tid), &w, ebpf.UpdateAny); err != nil {
		return fmt.Errorf("watch the worker thread %d: %w", tid, err)
	}
	return nil
}
