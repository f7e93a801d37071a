package collector

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ends hears of the end of processes by their pidfds: for a record of it may be
// lost, and then the recording would wait for ever.
type ends struct {
	epoll int
	quit  int           // an eventfd that ends the listening
	fds   map[int32]int // by pid
	mu    sync.Mutex
	gone  map[int32]time.Time // ended, and since when this is known
}

// watchEnds starts listening; wake is called after each end, from another goroutine.
func watchEnds(wake func() error) (*ends, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("watch for the end of processes: %w: raise the limit of open files (ulimit -n)", err)
	}
	quit, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err == nil {
		err = unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, quit, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: quitting})
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("watch for the end of processes: %w", err)
	}
	e := &ends{epoll: fd, quit: quit, fds: map[int32]int{}, gone: map[int32]time.Time{}}
	go e.listen(wake)
	return e, nil
}

// quitting stands in an event for no process.
const quitting = -1

// add watches a process. One that has ended already is none, without an error.
func (e *ends) add(pid int32) error {
	fd, err := unix.PidfdOpen(int(pid), 0)
	if err != nil {
		return err
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: pid}
	if err := unix.EpollCtl(e.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		unix.Close(fd)
		return fmt.Errorf("watch for the end of pid %d: %w", pid, err)
	}
	e.fds[pid] = fd
	return nil
}

// missed notes a process that had ended before it could be watched.
func (e *ends) missed(pid int32) {
	e.mu.Lock()
	e.gone[pid] = time.Now()
	e.mu.Unlock()
}

// drop stops watching a process.
func (e *ends) drop(pid int32) {
	if fd, ok := e.fds[pid]; ok {
		unix.Close(fd)
		delete(e.fds, pid)
	}
	e.mu.Lock()
	delete(e.gone, pid)
	e.mu.Unlock()
}

func (e *ends) listen(wake func() error) {
	events := make([]unix.EpollEvent, 64)
	for {
		n, err := unix.EpollWait(e.epoll, events, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || e.note(events[:n]) {
			unix.Close(e.epoll)
			unix.Close(e.quit)
			return
		}
		wake()
	}
}

// note keeps who ended; true: this was the last time.
func (e *ends) note(events []unix.EpollEvent) (quit bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range events {
		if ev.Fd == quitting {
			return true
		}
		e.gone[ev.Fd] = time.Now()
	}
	return false
}

// ended are the processes that ended and were not dropped yet, by since when.
func (e *ends) ended() map[int32]time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.gone)
}

// close stops the listening.
func (e *ends) close() {
	for pid := range e.fds {
		e.drop(pid)
	}
	unix.Write(e.quit, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}
