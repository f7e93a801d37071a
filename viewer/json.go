package viewer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"

	"gilscope/analyze"
)

// JSON writes the report as gilscope.report/v1, indented. Characters that a
// terminal could obey, which JSON itself allows in strings, are written as \u
// escapes: the same document, harmless to print.
func JSON(w io.Writer, r *analyze.Report) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the report as JSON: %w", err)
	}
	_, err = w.Write(append(visible(data), '\n'))
	return err
}

func visible(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for _, r := range bytes.Runes(data) {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			out = append(out, string(r)...)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}
