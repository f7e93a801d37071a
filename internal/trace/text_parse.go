package trace

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxTextLine bounds a line of the text form, in bytes.
const maxTextLine = 1 << 20

// ParseText reads what WriteText wrote, or a person: the lines may come in any
// order as long as ids are used after the line that makes them, blank lines and
// those that begin with # are skipped, and the events are sorted.
func ParseText(r io.Reader) (*Trace, error) {
	p := &textParser{
		t:         &Trace{Strings: make([]string, 1), Frames: make([]Frame, 1), Stacks: make([][]FrameID, 1)},
		strings:   map[string]StringID{},
		processAt: map[int32]int{},
		threadAt:  map[uint64]int{},
	}
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxTextLine)
	n := 1
	for ; s.Scan(); n++ {
		if err := p.line(s.Text()); err != nil {
			return nil, fmt.Errorf("parse text trace, line %d: %w", n, err)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("parse text trace, line %d: %w", n, err)
	}
	p.t.Complete = p.t.hasEnd()
	if p.complete != nil {
		p.t.Complete = *p.complete
	}
	Sort(p.t.Events)
	return p.t, nil
}

type textParser struct {
	t         *Trace
	strings   map[string]StringID
	processAt map[int32]int
	threadAt  map[uint64]int
	complete  *bool // if a line says so
}

// kindByName finds kinds by their names in the text form.
var kindByName = func() map[string]Kind {
	m := map[string]Kind{}
	for k := NoKind + 1; k < numKinds; k++ {
		m[Specs[k].Name] = k
	}
	return m
}()

// line parses one line.
func (p *textParser) line(s string) error {
	words, err := splitWords(s)
	if err != nil || len(words) == 0 {
		return err
	}
	w := words[1:]
	switch words[0].text {
	case wordProcess:
		return p.process(w)
	case wordThread:
		return p.thread(w)
	case wordString:
		return p.string(w)
	case wordFrame:
		return p.frame(w)
	case wordStack:
		return p.stack(w)
	case wordNote:
		return p.note(w)
	case wordComplete, wordIncomplete:
		yes := words[0].text == wordComplete
		p.complete = &yes
		return nil
	}
	return p.event(words)
}

func (p *textParser) process(words []textToken) error {
	var pr Process
	for _, w := range words {
		var err error
		switch w.key {
		case "pid":
			pr.PID, err = w.int32()
		case "ppid":
			pr.PPID, err = w.int32()
		case "name":
			pr.Name = cleanText(w.text, maxText)
		default:
			err = w.unexpected()
		}
		if err != nil {
			return err
		}
	}
	p.t.addProcess(p.processAt, pr)
	return nil
}

func (p *textParser) thread(words []textToken) error {
	var th Thread
	for _, w := range words {
		var err error
		switch w.key {
		case "pid":
			th.PID, err = w.int32()
		case "tid":
			th.TID, err = w.int32()
		case "name":
			th.Name = cleanText(w.text, maxText)
		default:
			err = w.unexpected()
		}
		if err != nil {
			return err
		}
	}
	p.t.addThread(p.threadAt, th)
	return nil
}

// id checks that the first word is the next id of a table, so that a line
// cannot claim memory for ids that do not exist.
func nextID(words []textToken, n int) ([]textToken, error) {
	if len(words) == 0 {
		return nil, errors.New("the id is missing")
	}
	if id, err := words[0].number(); err != nil || id != int64(n) {
		return nil, fmt.Errorf("id %q: ids are given in order, the next is %d", words[0].text, n)
	}
	return words[1:], nil
}

func (p *textParser) string(words []textToken) error {
	words, err := nextID(words, len(p.t.Strings))
	if err != nil {
		return err
	}
	if len(words) != 1 || words[0].key != "" {
		return errors.New("want: string ID TEXT")
	}
	p.addString(cleanText(words[0].text, maxText))
	return nil
}

func (p *textParser) addString(s string) StringID {
	id := StringID(len(p.t.Strings))
	p.t.Strings = append(p.t.Strings, s)
	if _, ok := p.strings[s]; !ok {
		p.strings[s] = id
	}
	return id
}

// intern finds a string or adds it.
func (p *textParser) intern(s string) StringID {
	s = cleanText(s, maxText)
	if id, ok := p.strings[s]; ok || s == "" {
		return id
	}
	return p.addString(s)
}

func (p *textParser) frame(words []textToken) error {
	words, err := nextID(words, len(p.t.Frames))
	if err != nil {
		return err
	}
	var f Frame
	for _, w := range words {
		switch w.key {
		case "func":
			f.Function = p.intern(w.text)
		case "file":
			f.File = p.intern(w.text)
		case "module":
			f.Module = p.intern(w.text)
		case "line":
			f.Line, err = w.int32()
		case "rel_pc":
			f.RelPC, err = strconv.ParseUint(w.text, 0, 64)
		default:
			err = w.unexpected()
		}
		if err != nil {
			return err
		}
	}
	p.t.Frames = append(p.t.Frames, f)
	return nil
}

func (p *textParser) stack(words []textToken) error {
	words, err := nextID(words, len(p.t.Stacks))
	if err != nil {
		return err
	}
	if len(words) == 0 || len(words) > 2 || words[0].text != "=" {
		return errors.New("want: stack ID = FRAME,FRAME..., the leaf first")
	}
	var frames []FrameID
	if len(words) == 2 {
		for part := range strings.SplitSeq(words[1].text, ",") {
			id, err := strconv.ParseUint(part, 10, 32)
			if err != nil || id >= uint64(len(p.t.Frames)) {
				return fmt.Errorf("frame %q of a stack: there is no such frame line before", part)
			}
			if len(frames) < maxStack {
				frames = append(frames, FrameID(id))
			}
		}
	}
	p.t.Stacks = append(p.t.Stacks, frames)
	return nil
}
