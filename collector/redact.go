package collector

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"gilscope/probes"
)

// redacted replaces the directory of a path by a short hash of it, which is the
// same in every recording: files of one name stay apart, and a directory can be
// recognised by whoever knows it, or guesses it. Names without a directory, such
// as <string>, stay.
func redacted(path string) string {
	end := strings.LastIndexAny(path, `/\`) // code compiled on Windows has its names
	if end < 0 {
		return path
	}
	sum := sha256.Sum256([]byte(path[:end]))
	return fmt.Sprintf("~%x/%s", sum[:4], path[end+1:])
}

// paths is the form in which paths come into the trace.
type paths struct{ redact bool }

func (o *Options) paths() paths { return paths{o.RedactPaths} }

func (f paths) shown(path string) string {
	if f.redact {
		return redacted(path)
	}
	return path
}

// sites describes the hooks of a plan.
func (f paths) sites(p probes.Plan) string {
	p.Hooks = slices.Clone(p.Hooks)
	for i := range p.Hooks {
		p.Hooks[i].Site.File = f.shown(p.Hooks[i].Site.File)
	}
	return p.Sites()
}
