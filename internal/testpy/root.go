package testpy

import (
	"os"
	"os/exec"
	"path/filepath"
)

// enter runs a program in another root folder, in a mount namespace of its own:
// what it mounts is seen by nobody else and ends with it. It only ever replaces
// itself (exec), so the process that was started becomes the program. The root
// is read-only within: Python, running as root here, would leave compiled files
// in the user's cache that the user could not remove. The order of the mounts
// matters: a folder may lie within one that was bound before.
const enter = `
set -e
cwd=$(pwd) root=$1 program=$2 tmp=$3 tree=$4 pythons=$5
shift 5
mkdir -p "$root$tmp" "$root$tree" "$root$pythons"
mount -o bind,ro "$root" "$root"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind "$tmp" "$root$tmp"
mount -o bind,ro "$tree" "$root$tree"
mount -o bind,ro "$pythons" "$root$pythons"
[ -d "$root$cwd" ] || cwd=/
exec unshare --root="$root" --wd="$cwd" "$program" "$@"
`

// enterRoot is the command for a program within root. The program sees the
// folders with the tests' scripts and data under the names that they have
// outside.
func enterRoot(root, program string, args []string) *exec.Cmd {
	all := []string{"--mount", "sh", "-c", enter, "sh", root, program, os.TempDir(), Tree(), Dir()}
	return exec.Command("unshare", append(all, args...)...)
}

// MountPoints returns the folders that must exist in a root. Made when the root
// is made, they belong to the user, also if tests run under sudo.
func MountPoints() []string {
	return []string{"/proc", "/dev", os.TempDir(), Tree(), Dir()}
}

// Tree returns the root of this module's files: the folder above the working
// folder that holds go.mod. Tests and `go run` are always started within.
func Tree() string {
	cwd, _ := os.Getwd()
	for dir := cwd; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	return cwd
}
