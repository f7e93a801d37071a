package trace

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zlib"
)

// Bounds on what a file can make the reader hold or do.
const (
	maxPacket   = 16 << 20 // bytes of a packet, and of what one batch inflates to
	maxInflated = 8 << 30  // bytes of packets of a trace
	// maxRatio bounds the inflated bytes by those of the file, beyond the first
	// few; recordings have a ratio of about 4, what is made to be one up to 1000.
	maxRatio  = 64
	firstFree = 4 << 20
	readBlock = 256 << 10
)

// input reads and inflates a file ahead of the decoder.
type input struct {
	r        io.Reader
	chunks   chan chunk
	free     chan []byte
	quit     chan struct{} // closed: nobody takes chunks any more
	err      error         // set before chunks is closed
	buf      []byte
	pos      int // of the packet at hand, in buf
	run      func()
	inflated int64
	deflated int64
	z        io.ReadCloser
	src      bytes.Reader
}

// chunk is a number of whole packets.
type chunk struct {
	packets []byte
	damaged bool // something is missing after the packets
}

func newInput(r io.Reader) *input {
	in := &input{r: r, chunks: make(chan chunk, 4), free: make(chan []byte, 8), quit: make(chan struct{})}
	in.run = func() {
		defer close(in.chunks)
		in.err = in.readAll()
	}
	return in
}

// errStopped ends the reading of a file that is refused.
var errStopped = errors.New("nobody reads on")

// stop ends the reading, if it goes on, and waits until it has ended.
func (in *input) stop() {
	close(in.quit)
	for range in.chunks {
	}
}

// pass sends a chunk to the decoder.
func (in *input) pass(c chunk) error {
	select {
	case in.chunks <- c:
		return nil
	case <-in.quit:
		return errStopped
	}
}

// recycle takes back the buffer of a chunk that is decoded.
func (in *input) recycle(b []byte) {
	if cap(b) == 0 {
		return
	}
	select {
	case in.free <- b:
	default:
	}
}

// buffer is an empty buffer for a chunk of about n bytes.
func (in *input) buffer(n int) []byte {
	select {
	case b := <-in.free:
		return b[:0]
	default:
		return make([]byte, 0, min(n, batchSize)+512)
	}
}

// readAll cuts the file into packets and sends them on.
func (in *input) readAll() error {
	eof, err := in.fill()
	if err != nil {
		return err
	}
	if err := checkMagic(in.buf); err != nil {
		return err
	}
	plain := 0 // start of the uncompressed packets not sent on yet
	for {
		body, end, state := packetAt(in.buf, in.pos)
		switch {
		case state == packetBad || (state == packetCut && eof):
			return in.send(plain, in.pos, in.pos < len(in.buf) && in.buf[in.pos] != 0)
		case state == packetCut:
			if err := in.send(plain, in.pos, false); err != nil {
				return err
			}
			if eof, err = in.fill(); err != nil {
				return err
			}
			plain = 0
		case isCompressed(in.buf[body:end]):
			if err := in.send(plain, in.pos, false); err != nil {
				return err
			}
			if err := in.sendInflated(in.buf[body:end]); err != nil {
				return err
			}
			in.pos, plain = end, end
		default:
			in.pos = end
		}
	}
}

// fill moves the packet at hand to the front and reads more of the file.
func (in *input) fill() (eof bool, err error) {
	in.buf = append(in.buf[:0], in.buf[in.pos:]...)
	in.pos = 0
	have := len(in.buf)
	want := have + max(min(readBlock, 2*cap(in.buf)), have, 1024)
	if cap(in.buf) < want {
		in.buf = append(make([]byte, 0, want), in.buf...)
	}
	n, err := io.ReadFull(in.r, in.buf[have:want])
	in.buf = in.buf[:have+n]
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read trace: %w; check the disk or copy the file again", err)
	}
	return false, nil
}

type packetState uint8

const (
	packetWhole packetState = iota
	packetCut               // more bytes are needed
	packetBad               // no packet, or one larger than maxPacket
)

// packetAt finds the body of the packet at b[at:].
func packetAt(b []byte, at int) (body, end int, s packetState) {
	if at >= len(b) {
		return 0, 0, packetCut
	}
	if b[at] != fTracePacket<<3|wireBytes {
		return 0, 0, packetBad
	}
	n, body := uvarint(b, at+1)
	switch {
	case body == 0 && len(b)-at > 10, n > maxPacket:
		return 0, 0, packetBad
	case body == 0, n > uint64(len(b)-body):
		return 0, 0, packetCut
	}
	return body, body + int(n), packetWhole
}

// checkMagic refuses files that do not begin like a trace.
func checkMagic(b []byte) error {
	switch {
	case len(b) == 0:
		return fmt.Errorf("%w: the file is empty; the recorder ended before its first flush: record again", ErrNotTrace)
	case bytes.HasPrefix(b, []byte{0x1f, 0x8b}):
		return fmt.Errorf("%w: the file is gzipped; unpack it with gunzip first", ErrNotTrace)
	case bytes.HasPrefix(b, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return fmt.Errorf("%w: the file is compressed; unpack it with zstd -d first", ErrNotTrace)
	case b[0] != fTracePacket<<3|wireBytes:
		return fmt.Errorf("%w: it does not begin with a packet; give a file that gilscope record wrote", ErrNotTrace)
	}
	return nil
}

// isCompressed says whether a packet is a batch; ours have nothing else in it.
func isCompressed(body []byte) bool {
	return len(body) > 2 && body[0] == (fPacketCompressed<<3|wireBytes)&0x7f|0x80 && body[1] == fPacketCompressed<<3>>7
}

// send sends uncompressed packets on, and word of damage after them.
func (in *input) send(from, to int, damaged bool) error {
	if from < to || damaged {
		return in.pass(chunk{append(in.buffer(to-from), in.buf[from:to]...), damaged})
	}
	return nil
}

// sendInflated inflates a batch and sends its packets on. A damaged batch is
// left out: what follows it is readable by itself.
func (in *input) sendInflated(body []byte) error {
	f := fields{b: body}
	if !f.next() || f.sub == nil {
		return in.pass(chunk{damaged: true})
	}
	packets, err := in.inflate(f.sub)
	if err != nil {
		return in.pass(chunk{damaged: true})
	}
	in.deflated += int64(len(f.sub))
	in.inflated += int64(len(packets))
	switch {
	case in.inflated > maxInflated:
		return fmt.Errorf("%w: it inflates to more than %d GiB; record a shorter time", ErrTooBig, maxInflated>>30)
	case in.inflated > maxRatio*in.deflated+firstFree:
		return fmt.Errorf("%w: it inflates to more than %d times its size, which no recording does; record again", ErrTooBig, maxRatio)
	}
	return in.pass(chunk{packets: packets})
}

// inflate inflates a zlib stream of at most maxPacket bytes.
func (in *input) inflate(deflated []byte) ([]byte, error) {
	in.src.Reset(deflated)
	if in.z == nil {
		z, err := zlib.NewReader(&in.src)
		if err != nil {
			return nil, err
		}
		in.z = z
	} else if err := in.z.(zlib.Resetter).Reset(&in.src, nil); err != nil {
		return nil, err
	}
	b := in.buffer(4 * len(deflated))
	for {
		if len(b) == cap(b) {
			if len(b) >= maxPacket {
				return nil, errors.New("batch inflates to more than a batch may hold")
			}
			b = append(make([]byte, 0, max(2*cap(b), 4096)), b...)
		}
		n, err := in.z.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
