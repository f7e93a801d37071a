package trace

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/klauspost/compress/zlib"
)

const (
	batchSize  = 128 << 10 // bytes of packets that are compressed together
	batchSlack = 16 << 10  // room for the packet that crosses the limit
	batchQueue = 4         // batches waiting for the compressor at most
)

// output takes whole packets to the io.Writer. With compression a goroutine
// of its own does it, so that the caller only waits when the queue is full.
type output struct {
	w       io.Writer
	written atomic.Int64
	err     atomic.Pointer[error]
	queue   chan batch // nil: no compression
	free    chan []byte
	ended   chan struct{}
}

// batch is a piece of work for the compressor: packets, or a request to say
// when everything before it is written.
type batch struct {
	packets []byte
	reached chan<- struct{}
}

func newOutput(w io.Writer, level int) *output {
	o := &output{w: w}
	if level <= 0 {
		return o
	}
	o.queue = make(chan batch, batchQueue)
	o.free = make(chan []byte, batchQueue+2)
	o.ended = make(chan struct{})
	go o.compress(min(level, zlib.BestCompression))
	return o
}

// put hands over packets and returns an empty buffer for the next ones.
func (o *output) put(packets []byte) []byte {
	if len(packets) == 0 {
		return packets
	}
	if o.queue == nil {
		o.write(packets)
		return packets[:0]
	}
	o.queue <- batch{packets: packets}
	select {
	case b := <-o.free:
		return b[:0]
	default:
		return make([]byte, 0, batchSize+batchSlack)
	}
}

// wait returns when all packets handed over so far are written.
func (o *output) wait() {
	if o.queue != nil {
		reached := make(chan struct{})
		o.queue <- batch{reached: reached}
		<-reached
	}
}

// close ends the compressor. Nothing may be handed over afterwards.
func (o *output) close() {
	if o.queue != nil {
		close(o.queue)
		<-o.ended
		o.queue = nil
	}
}

// write appends to the file in one call, so that a recorder killed between
// two calls leaves whole packets. After an error nothing more is written: a
// hole in the file would make the rest unreadable.
func (o *output) write(b []byte) {
	if o.err.Load() != nil {
		return
	}
	n, err := o.w.Write(b)
	o.written.Add(int64(n))
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		o.fail(fmt.Errorf("write trace: %w; free space or choose another file with -o", err))
	}
}

// fail keeps the first error.
func (o *output) fail(err error) { o.err.CompareAndSwap(nil, &err) }

// failed is the first error, or nil.
func (o *output) failed() error {
	if p := o.err.Load(); p != nil {
		return *p
	}
	return nil
}

// compress is the compressor's goroutine.
func (o *output) compress(level int) {
	defer close(o.ended)
	var deflated bytes.Buffer
	z, err := zlib.NewWriterLevel(&deflated, level)
	if err != nil {
		o.fail(fmt.Errorf("compress trace at level %d: %w", level, err))
	}
	var packet []byte
	for b := range o.queue {
		if b.reached != nil {
			close(b.reached)
			continue
		}
		if z != nil && o.err.Load() == nil {
			packet = o.deflate(z, &deflated, b.packets, packet)
			o.write(packet)
		}
		select {
		case o.free <- b.packets:
		default:
		}
	}
}

// deflate makes one compressed_packets packet in the buffer dst.
func (o *output) deflate(z *zlib.Writer, deflated *bytes.Buffer, packets, dst []byte) []byte {
	deflated.Reset()
	z.Reset(deflated)
	_, err := z.Write(packets)
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		o.fail(fmt.Errorf("compress trace: %w", err))
		return nil
	}
	body := deflated.Bytes()
	inner := varintLen(fPacketCompressed<<3) + varintLen(uint64(len(body))) + len(body)
	dst = appendVarint(appendTag(dst[:0], fTracePacket, wireBytes), uint64(inner))
	dst = appendVarint(appendTag(dst, fPacketCompressed, wireBytes), uint64(len(body)))
	return append(dst, body...)
}
