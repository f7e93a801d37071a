// Package viewer owns the forms in which people and programs get a report or a
// trace: text, Markdown, JSON, JUnit, annotations, pprof, collapsed stacks, and
// the one-shot server that hands a trace to the Perfetto UI.
//
// Names of threads, functions and files come from the observed process. Every
// one of them passes Safe, or the escaping of its format on top of it.
package viewer

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Safe makes a string from a target harmless for terminals and logs: control
// characters (C0, DEL, C1), line breaks, direction marks, other invisible
// characters and bytes that are not UTF-8 become visible escapes.
func Safe(s string) string {
	if clean(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		i += size
	}
	return b.String()
}

// clean is the common case: printable ASCII.
func clean(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// markdown escapes what Markdown or the HTML in it would take for its own. A
// line of a report can then be no heading, table, link, image or tag.
func markdown(s string) string {
	var b strings.Builder
	for _, r := range Safe(s) {
		switch {
		case r == '&':
			b.WriteString("&amp;")
			continue
		case r == '<':
			b.WriteString("&lt;")
			continue
		case r == '@':
			b.WriteString("&#64;") // no mention of a user
			continue
		case strings.ContainsRune("\\`*_{}[]()#+-.!|>~:", r):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
