package trace

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// textToken is a word of a line: a text, or key=text.
type textToken struct {
	key, text string
	quoted    bool // the text was in quotes, so it is no number
}

// splitWords splits a line into words; a # begins a comment.
func splitWords(s string) ([]textToken, error) {
	var words []textToken
	for {
		s = strings.TrimLeft(s, " \t\r")
		if s == "" || s[0] == '#' {
			return words, nil
		}
		var w textToken
		var err error
		if w.text, w.quoted, s, err = cutWord(s); err != nil {
			return nil, err
		}
		if rest, ok := strings.CutPrefix(s, "="); ok && w.text != "" {
			w.key = w.text
			if w.text, w.quoted, s, err = cutWord(rest); err != nil {
				return nil, err
			}
		}
		words = append(words, w)
	}
}

// cutWord cuts a word off the front of s: a quoted one, or all up to a blank
// or an equals sign. A lone equals sign is a word.
func cutWord(s string) (word string, quoted bool, rest string, err error) {
	if strings.HasPrefix(s, `"`) {
		q, err := strconv.QuotedPrefix(s)
		if err != nil {
			return "", false, "", errors.New("a quote is not closed")
		}
		word, err = strconv.Unquote(q)
		return word, true, s[len(q):], err
	}
	n := strings.IndexAny(s, " \t\r=")
	switch {
	case n < 0:
		n = len(s)
	case n == 0 && s[0] == '=':
		n = 1
	}
	return s[:n], false, s[n:], nil
}

func (w textToken) number() (int64, error) {
	v, err := strconv.ParseInt(w.text, 10, 64)
	if err != nil || w.quoted {
		return 0, fmt.Errorf("%s=%s is not a number", w.key, w.text)
	}
	return v, nil
}

func (w textToken) int32() (int32, error) {
	v, err := w.number()
	if err == nil && int64(int32(v)) != v {
		return 0, fmt.Errorf("%s=%s is out of range", w.key, w.text)
	}
	return int32(v), err
}

func (w textToken) unexpected() error {
	return fmt.Errorf("unexpected %q on this line", strings.TrimPrefix(w.key+"="+w.text, "="))
}

// note parses: TIME NAME pid=N key=value...
func (p *textParser) note(words []textToken) error {
	if len(words) < 2 || words[1].key != "" {
		return errors.New("want: note TIME NAME pid=N, then KEY=VALUE pairs")
	}
	time, err := words[0].number()
	if err != nil {
		return err
	}
	n := Note{Time: Time(time), Name: cleanText(words[1].text, maxText)}
	words = words[2:]
	if len(words) > 0 && words[0].key == notePID {
		if n.PID, err = words[0].int32(); err != nil {
			return err
		}
		words = words[1:]
	}
	for _, w := range words[:min(len(words), maxNoteArgs)] {
		if w.key == "" {
			return w.unexpected()
		}
		a := Arg{Key: cleanText(w.key, maxText)}
		if a.Key == "" {
			return errors.New("a key has no character that can be shown")
		}
		if a.Num, err = w.number(); err != nil {
			a.Text = cleanText(w.text, maxNoteText)
		}
		n.Args = append(n.Args, a)
	}
	p.t.Notes = append(p.t.Notes, n)
	return nil
}

// event parses: TIME KIND key=value...
func (p *textParser) event(words []textToken) error {
	time, err := words[0].number()
	if err != nil || words[0].key != "" {
		return fmt.Errorf("unknown word %q; a line begins with a time, process, thread, string, frame, stack or note", words[0].text)
	}
	if len(words) < 2 {
		return errors.New("the kind of the event is missing")
	}
	e := Event{Time: Time(time), Kind: kindByName[words[1].text]}
	if e.Kind == NoKind {
		return fmt.Errorf("unknown event kind %q", words[1].text)
	}
	for _, w := range words[2:] {
		if err := p.field(&e, w); err != nil {
			return err
		}
	}
	p.t.Events = append(p.t.Events, e)
	return nil
}

// field sets the field of an event that a word is about.
func (p *textParser) field(e *Event, w textToken) error {
	var f *Field
	for i := range Specs[e.Kind].Fields {
		if w.key == Specs[e.Kind].Fields[i].Key {
			f = &Specs[e.Kind].Fields[i]
		}
	}
	if f == nil {
		return fmt.Errorf("%w: %s does not use it", w.unexpected(), e.Kind)
	}
	for v, name := range f.Enum {
		if name == w.text && name != "" {
			f.Of.set(e, int64(v))
			return nil
		}
	}
	v, err := w.number()
	if err != nil {
		return err
	}
	if f.Of == FieldStack && (v < 0 || v >= int64(len(p.t.Stacks))) {
		return fmt.Errorf("stack=%s: there is no such stack line before", w.text)
	}
	if !f.Of.set(e, v) {
		return fmt.Errorf("%s=%s is out of range", w.key, w.text)
	}
	return nil
}
