package gilscope_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// mayImport is the package table of the design: what of ours a package may use.
// It is read from the source files themselves: a test that asked the go command
// would be answered from the test cache.
var mayImport = map[string][]string{
	"internal/trace":    {},
	"internal/cpython":  {},
	"internal/safefile": {},
	"probes":            {"internal/cpython"},
	"collector":         {"probes", "internal/cpython", "internal/trace", "internal/safefile"},
	"analyze":           {"internal/trace"},
	"internal/scaling":  {"analyze"},
	"viewer":            {"analyze", "internal/scaling", "internal/trace"},
	"cmd/gilscope":      {"collector", "probes", "analyze", "internal/scaling", "viewer", "internal/cpython", "internal/safefile", "internal/trace"},
}

// noEBPF are the packages that must work without a kernel.
var noEBPF = []string{"internal/trace", "internal/cpython", "internal/safefile", "analyze", "internal/scaling", "viewer"}

// Packages that only tests and the build use may use what they need. That the
// program itself does not use them follows from the table.
var onlyForTests = regexp.MustCompile(`^(internal/test|livetest|oracle|tools|testdata|bench)`)

const module = "gilscope"

// source is one Go file of the module.
type source struct {
	path      string // from the module's root
	pkg       string // directory of path
	file      *ast.File
	fset      *token.FileSet
	text      string
	generated bool
}

func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(p) != ".go" {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, p, text, parser.ParseComments)
		if err != nil {
			return err
		}
		p = filepath.ToSlash(p)
		all = append(all, source{p, path.Dir(p), f, fset, string(text), ast.IsGenerated(f)})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found %d Go files: the test does not run in the module's root", len(all))
	}
	return all
}

func imports(s source) []string {
	var list []string
	for _, i := range s.file.Imports {
		list = append(list, strings.Trim(i.Path.Value, `"`))
	}
	return list
}

func TestImportDirections(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() || onlyForTests.MatchString(s.pkg) {
			continue
		}
		allowed, ok := mayImport[s.pkg]
		if !ok {
			t.Errorf("%s: package %s is not in the table mayImport", s.path, s.pkg)
			continue
		}
		for _, imported := range imports(s) {
			ours, isOurs := strings.CutPrefix(imported, module+"/")
			if isOurs && ours != s.pkg && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, which %s may not", s.path, ours, s.pkg)
			}
			if strings.HasPrefix(imported, "github.com/cilium/ebpf") && slices.Contains(noEBPF, s.pkg) {
				t.Errorf("%s imports %s: %s must work without a kernel", s.path, imported, s.pkg)
			}
			if imported == "C" {
				t.Errorf("%s uses cgo", s.path)
			}
		}
	}
}

const (
	maxFile     = 400 // lines
	maxFunction = 70
)

func TestSizes(t *testing.T) {
	for _, s := range sources(t) {
		if s.generated {
			continue
		}
		if n := strings.Count(s.text, "\n"); n > maxFile {
			t.Errorf("%s has %d lines, more than %d: split it by what it owns", s.path, n, maxFile)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1; n > maxFunction {
				t.Errorf("%s: %s has %d lines, more than %d", s.path, f.Name.Name, n, maxFunction)
			}
		}
	}
}

// banned are words that mean unfinished work, silenced checks, or a skipped
// test; written in two parts so that this file does not contain them.
var banned = []string{"TO" + "DO", "FIX" + "ME", "XX" + "X", "no" + "lint", "t.Sk" + "ip"}

var bannedPackages = []string{"util", "utils", "common", "helper", "helpers", "misc"}

func TestBannedWords(t *testing.T) {
	word := regexp.MustCompile(`\b(` + strings.Join(banned, "|") + `)`)
	for _, s := range sources(t) {
		base := strings.TrimSuffix(strings.TrimSuffix(path.Base(s.path), ".go"), "_test")
		for _, name := range []string{s.file.Name.Name, path.Base(s.pkg), base} {
			if slices.Contains(bannedPackages, name) {
				t.Errorf("%s: %q says nothing about what is in it", s.path, name)
			}
		}
		if s.generated {
			continue
		}
		for n, line := range strings.Split(s.text, "\n") {
			if found := word.FindString(line); found != "" {
				t.Errorf("%s:%d: %s", s.path, n+1, found)
			}
		}
	}
}

// TestPackageComments: every package says what it owns, every exported name what it is.
func TestPackageComments(t *testing.T) {
	said := map[string]bool{}
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		said[s.pkg] = said[s.pkg] || s.file.Doc != nil
		if s.generated || s.file.Name.Name == "main" {
			continue
		}
		for _, d := range s.file.Decls {
			if name := undocumented(d); name != "" {
				t.Errorf("%s: %s is exported and not documented", s.path, name)
			}
		}
	}
	for pkg, ok := range said {
		if !ok {
			t.Errorf("package %s has no comment", pkg)
		}
	}
}

// undocumented is the first exported name of a declaration without a comment.
func undocumented(d ast.Decl) string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || exportedReceiver(d)) {
			return d.Name.Name
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() && d.Doc == nil && spec.Doc == nil {
					return spec.Name.Name
				}
			case *ast.ValueSpec:
				if spec.Names[0].IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
					return spec.Names[0].Name
				}
			}
		}
	}
	return ""
}

func exportedReceiver(f *ast.FuncDecl) bool {
	t := f.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	id, ok := t.(*ast.Ident)
	return ok && id.IsExported()
}
