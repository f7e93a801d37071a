package testpy

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Dir is where the fetched interpreters lie: $GILSCOPE_PYTHONS, else
// ~/.cache/gilscope/pythons.
func Dir() string {
	if dir := os.Getenv("GILSCOPE_PYTHONS"); dir != "" {
		return dir
	}
	home, _ := os.UserHomeDir()
	return filepath.Join(home, ".cache", "gilscope", "pythons")
}

// Files that say which version lies in a folder, without starting it; package
// testpy/fetch sees to it that they are there.
const (
	// PackagesFile, in a Debian root, lists the package files that it was made of.
	PackagesFile = "packages"
	// HostProgram, in an embedded-VERSION folder, is the program with Python inside.
	HostProgram = "tallyhost"
)

var (
	exactVersion   = regexp.MustCompile(`^3\.(\d+)\.\d+$`)
	debianVersion  = regexp.MustCompile(`(?m)^python3\.\d+-minimal_(3\.\d+\.\d+)`)
	headersVersion = regexp.MustCompile(`(?m)^#define PY_VERSION\s+"(3\.\d+\.\d+)`)
)

// find looks in the known places: pyenv, the distribution, and what package
// testpy/fetch got. Those that need a root folder are left out for users that
// may not enter it.
func find() []Interpreter {
	home, _ := os.UserHomeDir()
	all := folders(Interpreter{Kind: Pyenv, Shared: true, GIL: true}, filepath.Join(home, ".pyenv/versions/3.*/bin/python3.*"))
	if out, err := exec.Command("/usr/bin/python3.11", "-c", "import platform; print(platform.python_version())").Output(); err == nil {
		debian := Interpreter{Kind: Debian, Path: "/usr/bin/python3.11", Stripped: true, GIL: true}
		all = appendVersion(all, debian, strings.TrimSpace(string(out)))
	}
	for _, i := range folders(Interpreter{Kind: Standalone, GIL: true}, filepath.Join(Dir(), "3.*/bin/python3.*")) {
		// From 3.12 on their builds are static and stripped.
		i.Shared, i.Stripped = i.Minor < 12, i.Minor >= 12
		all = append(all, i)
	}
	if os.Geteuid() == 0 {
		all = append(all, debianRoots()...)
	}
	for _, path := range glob(filepath.Join(Dir(), "embedded-3.*", HostProgram)) {
		_, version, _ := strings.Cut(filepath.Base(filepath.Dir(path)), "-")
		all = appendVersion(all, Interpreter{Kind: Embedded, Path: path, Shared: true, GIL: true}, version)
	}
	return append(all, freeThreaded()...)
}

// folders finds interpreters in folders that are named after their versions.
func folders(like Interpreter, pattern string) []Interpreter {
	var all []Interpreter
	for _, path := range glob(pattern) {
		like.Path = path
		all = appendVersion(all, like, filepath.Base(filepath.Dir(filepath.Dir(path))))
	}
	return all
}

// debianRoots finds Debian's interpreters that lie in roots of their own.
func debianRoots() []Interpreter {
	var all []Interpreter
	for _, path := range glob(filepath.Join(Dir(), "debian-3.*/usr/bin/python3.*")) {
		root := filepath.Dir(filepath.Dir(filepath.Dir(path)))
		i := Interpreter{Kind: Debian, Path: path, Root: root, Stripped: true, GIL: true}
		all = appendVersion(all, i, versionIn(filepath.Join(root, PackagesFile), debianVersion))
	}
	return all
}

// freeThreaded finds the builds without a GIL; each counts twice, without and
// with it.
func freeThreaded() []Interpreter {
	var all []Interpreter
	for _, headers := range glob(filepath.Join(Dir(), "3.*t/include/python3.*t/patchlevel.h")) {
		name := filepath.Base(filepath.Dir(headers))
		path := filepath.Join(headers, "../../../bin", name)
		version := versionIn(headers, headersVersion)
		all = appendVersion(all, Interpreter{Kind: FreeThreadedOff, Path: path, FreeThreaded: true}, version)
		all = appendVersion(all, Interpreter{Kind: FreeThreadedGIL, Path: path, FreeThreaded: true, GIL: true, Env: []string{"PYTHON_GIL=1"}}, version)
	}
	return all
}

func versionIn(file string, pattern *regexp.Regexp) string {
	text, err := os.ReadFile(file)
	if m := pattern.FindSubmatch(text); err == nil && m != nil {
		return string(m[1])
	}
	return ""
}

// appendVersion adds i if it is that version of Python 3 itself (and not
// python3.N-config or a second name of one that is there).
func appendVersion(all []Interpreter, i Interpreter, version string) []Interpreter {
	m := exactVersion.FindStringSubmatch(version)
	if m == nil {
		return all
	}
	names := []string{"python3." + m[1], "python3." + m[1] + "t", HostProgram}
	if !slices.Contains(names, filepath.Base(i.Path)) {
		return all
	}
	i.Name, i.Version = i.Kind+"-"+version, version
	i.Minor, _ = strconv.Atoi(m[1])
	return append(all, i)
}

// glob returns the matches in the order of their versions.
func glob(pattern string) []string {
	paths, _ := filepath.Glob(pattern)
	number := regexp.MustCompile(`\d+`)
	slices.SortFunc(paths, func(a, b string) int {
		x, y := number.FindAllString(a, -1), number.FindAllString(b, -1)
		return slices.CompareFunc(x, y, func(a, b string) int {
			m, _ := strconv.Atoi(a)
			n, _ := strconv.Atoi(b)
			return cmp.Compare(m, n)
		})
	})
	return paths
}
