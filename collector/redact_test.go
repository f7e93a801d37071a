package collector

import "testing"

func TestRedacted(t *testing.T) {
	for _, c := range []struct{ path, want string }{
		{"app.py", "app.py"},
		{"<string>", "<string>"},
		{"<frozen importlib._bootstrap>", "<frozen importlib._bootstrap>"},
		{"", ""},
		{"/app.py", "~e3b0c442/app.py"},
		{"/srv/app.py", "~a3d9ac4f/app.py"},
		{"/srv/other.py", "~a3d9ac4f/other.py"},
		{"/srv2/app.py", "~5f5fb284/app.py"},
		{"srv/app.py", "~5e12afea/app.py"},
		{`C:\Users\x\app.py`, "~21107551/app.py"},
		{"/tmp/lib.so (deleted)", "~e9671acd/lib.so (deleted)"},
	} {
		if got := redacted(c.path); got != c.want {
			t.Errorf("%q became %q, want %q", c.path, got, c.want)
		}
	}
}
