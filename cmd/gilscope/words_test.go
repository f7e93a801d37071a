package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestWords(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"plain\n", "plain\n"},
		{"\n", "\n"},
		{"\r\033[Krec 1s", "\r\033[Krec 1s"},
		{"in \x1b]0;x\x07 now\n", `in \x1b]0;x\x07 now` + "\n"},
		{"in a\nwarning: forged\n", `in a\x0awarning: forged` + "\n"},
		{"in a\r\033[K\n", `in a\x0d\x1b[K` + "\n"},
	} {
		var b strings.Builder
		if n, err := fmt.Fprint(words{&b}, c.in); n != len(c.in) || err != nil || b.String() != c.want {
			t.Errorf("%q: wrote %q, %d, %v; want %q", c.in, b.String(), n, err, c.want)
		}
	}
}
