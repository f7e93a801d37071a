package viewer

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"gilscope/analyze"
)

// duration writes nanoseconds with three digits and a fitting unit.
func duration(ns int64) string {
	for _, u := range []struct {
		ns   float64
		name string
	}{{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}} {
		if v := float64(ns) / u.ns; v >= 0.9995 {
			return digits(v) + " " + u.name
		}
	}
	return strconv.FormatInt(ns, 10) + " ns"
}

// digits writes three significant digits, and all digits before the point.
func digits(v float64) string {
	switch {
	case v >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// unknown stands for what the recording does not tell; it is never written as 0.
const unknown = "-"

func maybe(ns *int64) string {
	if ns == nil {
		return unknown
	}
	return duration(*ns)
}

func maybeCount(n *int64) string {
	if n == nil {
		return unknown
	}
	return strconv.FormatInt(*n, 10)
}

func percent(v *float64) string {
	if v == nil {
		return unknown
	}
	return strconv.FormatFloat(*v*100, 'f', 1, 64) + "%"
}

func part(n, of int64) string {
	if of <= 0 {
		return unknown
	}
	v := float64(n) / float64(of)
	return percent(&v)
}

// party names a thread: its name, or its number, or what stands for it.
func party(p analyze.Party) string {
	switch {
	case p.TID == nil || *p.TID == 0:
		return p.Name
	case p.Name == "":
		return fmt.Sprintf("thread %d", *p.TID)
	}
	return fmt.Sprintf("%s (%d)", p.Name, *p.TID)
}

// place names a site: function, the last two parts of its file's path, the line.
func place(s *analyze.SiteRow) string {
	if s == nil {
		return ""
	}
	var b strings.Builder
	if s.Function != nil {
		b.WriteString(*s.Function)
	}
	if s.File != nil {
		line := ""
		if s.Line != nil {
			line = ":" + strconv.Itoa(int(*s.Line))
		}
		fmt.Fprintf(&b, " (%s%s)", shortPath(*s.File), line)
	}
	if s.Native != nil {
		module, function, ok := strings.Cut(*s.Native, " ")
		if !ok {
			module, function = "", *s.Native
		}
		fmt.Fprintf(&b, " in %s", strings.TrimSuffix(function+" ["+module+"]", " []"))
	}
	return strings.TrimSpace(b.String())
}

// shortPath keeps what tells files apart for a reader: the last two parts.
func shortPath(p string) string {
	dir, name := path.Split(p)
	return path.Join(path.Base(dir), name)
}

// at is a party with its place.
func at(p analyze.Party) string {
	if where := place(p.Site); where != "" {
		return party(p) + ": " + where
	}
	return party(p)
}

// count writes "1 wait" and "2 waits".
func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
