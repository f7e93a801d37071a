package trace

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

// Words that open the lines of the text form; an event's line opens with its time.
const (
	wordProcess    = "process"
	wordThread     = "thread"
	wordString     = "string"
	wordFrame      = "frame"
	wordStack      = "stack"
	wordNote       = "note"
	wordComplete   = "complete"
	wordIncomplete = "incomplete"
)

// WriteText writes a trace as text, one thing a line, for golden tests:
//
//	process pid=100 ppid=1 name=python3
//	thread pid=100 tid=101 name=worker-1
//	frame 1 func=work file=/app/x.py line=12
//	stack 1 = 1,2
//	note 1000 recording pid=0 version="0.1" detail=waits
//	1000 gil.wait.begin pid=100 tid=101 holder=102 stack=1
//
// Fields that are 0 are left out where that is no loss to a reader. Strings
// are in quotes, as in Go, where they would not read back otherwise. ParseText
// returns the same trace.
func WriteText(w io.Writer, t *Trace) error {
	b := bufio.NewWriter(w)
	for _, p := range t.Processes {
		line := textLine{b: []byte(wordProcess)}
		b.Write(line.num("pid", int64(p.PID)).num("ppid", int64(p.PPID)).text("name", p.Name).end())
	}
	for _, th := range t.Threads {
		line := textLine{b: []byte(wordThread)}
		b.Write(line.num("pid", int64(th.PID)).num("tid", int64(th.TID)).text("name", th.Name).end())
	}
	writeTables(b, t)
	for i := range t.Notes {
		b.Write(noteLine(&t.Notes[i]))
	}
	for i := range t.Events {
		b.Write(eventLine(&t.Events[i]))
	}
	if t.Complete != t.hasEnd() {
		word := wordIncomplete
		if t.Complete {
			word = wordComplete
		}
		b.WriteString(word + "\n")
	}
	return b.Flush()
}

// hasEnd says whether the last note is a NoteEnd.
func (t *Trace) hasEnd() bool {
	return len(t.Notes) > 0 && t.Notes[len(t.Notes)-1].Name == NoteEnd
}

// writeTables writes the strings, if the frames do not bring them in the same
// order, the frames and the stacks.
func writeTables(b *bufio.Writer, t *Trace) {
	if !implicitStrings(t) {
		for id := 1; id < len(t.Strings); id++ {
			line := textLine{b: []byte(wordString)}
			b.Write(line.word(strconv.Itoa(id)).word(textWord(t.Strings[id])).end())
		}
	}
	for id := 1; id < len(t.Frames); id++ {
		b.Write(frameLine(t, id))
	}
	for id := 1; id < len(t.Stacks); id++ {
		line := textLine{b: []byte(wordStack)}
		line.word(strconv.Itoa(id)).word("=").word("")
		for i, f := range t.Stacks[id] {
			if i > 0 {
				line.b = append(line.b, ',')
			}
			line.b = strconv.AppendUint(line.b, uint64(f), 10)
		}
		b.Write(line.end())
	}
}

// implicitStrings says whether reading the frames gives all strings their ids.
func implicitStrings(t *Trace) bool {
	next, seen := StringID(1), map[string]bool{"": true}
	for i := 1; i < len(t.Frames); i++ {
		f := &t.Frames[i]
		for _, id := range []StringID{f.Function, f.File, f.Module} {
			s := t.text(id)
			if id == next && !seen[s] {
				next++
			} else if id >= next || (id == 0) != (s == "") {
				return false
			}
			seen[s] = true
		}
	}
	return int(next) >= len(t.Strings)
}

// text is the string of an id, "" if there is none.
func (t *Trace) text(id StringID) string {
	if int(id) < len(t.Strings) {
		return t.Strings[id]
	}
	return ""
}

func frameLine(t *Trace, id int) []byte {
	f := t.Frames[id]
	line := textLine{b: []byte(wordFrame)}
	line.word(strconv.Itoa(id))
	if f.Function != 0 {
		line.text("func", t.text(f.Function))
	}
	if f.File != 0 {
		line.text("file", t.text(f.File))
	}
	if f.Line != 0 {
		line.num("line", int64(f.Line))
	}
	if f.Module != 0 {
		line.text("module", t.text(f.Module))
	}
	if f.RelPC != 0 {
		line.key("rel_pc")
		line.b = strconv.AppendUint(append(line.b, "0x"...), f.RelPC, 16)
	}
	return line.end()
}

func noteLine(n *Note) []byte {
	line := textLine{b: []byte(wordNote)}
	line.word(strconv.FormatInt(int64(n.Time), 10)).word(textWord(n.Name)).num(notePID, int64(n.PID))
	for _, a := range n.Args {
		if a.Text == "" {
			line.num(textWord(a.Key), a.Num)
		} else {
			line.text(textWord(a.Key), a.Text)
		}
	}
	return line.end()
}

func eventLine(e *Event) []byte {
	line := textLine{b: strconv.AppendInt(nil, int64(e.Time), 10)}
	line.word(e.Kind.String())
	if e.Kind >= numKinds {
		return line.end()
	}
	for i := range Specs[e.Kind].Fields {
		f := &Specs[e.Kind].Fields[i]
		v := f.Of.get(e)
		switch name := f.valueName(v); {
		case name != "":
			line.text(f.Key, name)
		case v != 0 || f.always():
			line.num(f.Key, v)
		}
	}
	return line.end()
}

// always says whether the field is written also if it is 0.
func (f *Field) always() bool {
	return f.Of == FieldCPU || f.Of == FieldPID || f.Of == FieldTID || f.Of == FieldArg
}

// textLine is a line being written.
type textLine struct{ b []byte }

func (l *textLine) word(s string) *textLine {
	l.b = append(append(l.b, ' '), s...)
	return l
}

func (l *textLine) key(s string) { l.b = append(append(append(l.b, ' '), s...), '=') }

func (l *textLine) num(key string, v int64) *textLine {
	l.key(key)
	l.b = strconv.AppendInt(l.b, v, 10)
	return l
}

func (l *textLine) text(key, s string) *textLine {
	l.key(key)
	l.b = append(l.b, textWord(s)...)
	return l
}

func (l *textLine) end() []byte { return append(l.b, '\n') }

// textWord is s as a word of a line: in quotes if it would read back as
// something else, which includes all that looks like a number.
func textWord(s string) string {
	if s == "" || strings.IndexByte("-+0123456789", s[0]) >= 0 {
		return strconv.Quote(s)
	}
	for i := range len(s) {
		if !bare(s[i]) {
			return strconv.Quote(s)
		}
	}
	return s
}

// bare says whether a character needs no quotes.
func bare(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_-./:+<>()@%", c) >= 0
}
