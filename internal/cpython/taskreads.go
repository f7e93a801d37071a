package cpython

import "fmt"

// words reads many pointers; all, or an error.
func (r *taskReader) words(at []uint64) ([]uint64, error) {
	blocks, err := r.blocks(at, 8)
	if err != nil {
		return nil, err
	}
	words := make([]uint64, len(at))
	for i := range words {
		words[i] = le64(blocks[i], 0)
	}
	return words, nil
}

// blocks reads many pieces of one size; all, or an error.
func (r *taskReader) blocks(at []uint64, size uint32) ([][]byte, error) {
	spans, room := make([]span, len(at)), make([]byte, len(at)*int(size))
	blocks := make([][]byte, len(at))
	for i := range at {
		blocks[i] = room[i*int(size):][:size]
		spans[i] = span{addr: at[i], buf: blocks[i]}
	}
	if err := r.p.readSpans(spans); err != nil {
		return nil, err
	}
	for i := range spans {
		if !spans[i].ok {
			return nil, fmt.Errorf("task data at %#x: %w", at[i], ErrUnmapped)
		}
	}
	return blocks, nil
}
