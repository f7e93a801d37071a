package cpython

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Debuginfod fetches symbol files from debuginfod servers. It does so only when
// Fetch is called; the servers learn the build ids of the files asked for. A
// server that is believed can give wrong names to functions, and nothing else:
// its files are read with the same bounds as those of the target.
type Debuginfod struct {
	servers []string
	dir     *os.Root
	client  http.Client
	timeout time.Duration // for one file
	limit   int64         // bytes of one file
}

// Bounds of one Fetch: in time, and how many files at once and at all.
const (
	fetchTimeout = 10 * time.Second // one file
	fetchTotal   = 30 * time.Second
	maxParallel  = 4
	maxFetched   = 64
)

// errNoServer: all servers said that they do not have the file.
var errNoServer = errors.New("no server has it")

// NewDebuginfod prepares to fetch from servers, a list of URLs separated by
// spaces as in $DEBUGINFOD_URLS, into dir. The directory is made if it is
// missing; it must belong to the user, and to nobody else: not even root may
// keep its downloads where others can change them.
func NewDebuginfod(servers, dir string) (*Debuginfod, error) {
	d := &Debuginfod{timeout: fetchTimeout, limit: maxSymbolFile}
	for _, server := range strings.Fields(servers) {
		u, err := url.Parse(server)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, fmt.Errorf("debuginfod server %q is no http or https URL: correct DEBUGINFOD_URLS", server)
		}
		d.servers = append(d.servers, strings.TrimSuffix(server, "/"))
	}
	if len(d.servers) == 0 {
		return nil, errors.New("no debuginfod server is known: set DEBUGINFOD_URLS to the URL of one")
	}
	var err error
	d.dir, err = privateDir(dir)
	return d, err
}

// Close forgets the cache directory. Symbols that were fetched stay in use.
func (d *Debuginfod) Close() error { return d.dir.Close() }

// privateDir opens a directory that only we can write to, and makes it if it is
// missing.
func privateDir(dir string) (*os.Root, error) {
	above := dir
	info, err := os.Stat(above)
	for ; err != nil && filepath.Dir(above) != above; info, err = os.Stat(above) {
		above = filepath.Dir(above)
	}
	if err != nil || !isOurs(info) { // else links could make us create directories anywhere
		return nil, fmt.Errorf("keep downloads in %q: %q is another user's: set XDG_CACHE_HOME to a directory of your own", dir, above)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory for downloads: %w: set XDG_CACHE_HOME to another one", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the directory for downloads: %w: set XDG_CACHE_HOME to another one", err)
	}
	if info, err = root.Stat("."); err != nil || !isOurs(info) || info.Mode().Perm()&0o077 != 0 {
		root.Close()
		return nil, fmt.Errorf("keep downloads in %q: other users have access to it: chmod 700 it, or set XDG_CACHE_HOME to another directory", dir)
	}
	return root, nil
}

func isOurs(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// extension recognises Python extension modules, whose functions are static;
// of other libraries the exported names are enough.
var extension = regexp.MustCompile(`\.(cpython-3|abi3\.)[^/]*so$`)

// Fetch gets symbols for the interpreter and the extension modules of p, as far
// as they were stripped off and no symbol file is installed. It ends after 30 s
// at the latest. got is how many files have symbols now that had none; the error
// tells of each one that could not be had, and the recording can go on with it.
func (d *Debuginfod) Fetch(ctx context.Context, p *Process) (got int, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTotal)
	defer cancel()
	wanted := p.nameless()
	errs := make([]error, len(wanted))
	var done sync.WaitGroup
	slots := make(chan struct{}, maxParallel)
	for i, c := range wanted {
		done.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := d.fetch(ctx, c.mod); err != nil {
				errs[i] = fmt.Errorf("fetch symbols of %q, build id %s: %w", c.m.Path, c.mod.img.buildID(), err)
			}
		})
	}
	done.Wait()
	for _, err := range errs {
		if err == nil {
			got++
		}
	}
	p.mu.Lock()
	clear(p.roles) // they go by name
	p.mu.Unlock()
	return got, errors.Join(errs...)
}

// nameless returns the interpreter and the extension modules that have a build
// id and no symbols.
func (p *Process) nameless() []*candidate {
	var found []*candidate
	seen := map[*module]bool{}
	for _, m := range p.Maps() {
		if !m.Exec || m.Path != p.Build.Path && !extension.MatchString(m.file()) || len(found) == maxFetched {
			continue
		}
		if c, ok := p.codeAt(m.Start); ok && !seen[c.mod] && !c.mod.named() && c.mod.img.buildID() != "" {
			seen[c.mod] = true
			found = append(found, c)
		}
	}
	return found
}

// fetch gives a module the symbols of its file in the cache, downloading it
// first if need be.
func (d *Debuginfod) fetch(ctx context.Context, m *module) error {
	id := m.img.buildID()
	if f, err := d.dir.Open(id + ".debug"); err == nil {
		defer f.Close()
		if img, ok := hasBuildID(f, id); ok && m.adopt(img) {
			return nil
		}
	}
	err := errNoServer
	for _, server := range d.servers {
		f, e := d.download(ctx, server, id)
		if e != nil {
			if !errors.Is(e, errNoServer) {
				err = e
			}
			continue
		}
		defer f.Close()
		if img, ok := hasBuildID(f, id); ok && m.adopt(img) {
			return nil
		}
		err = fmt.Errorf("what %s has under that build id has no symbols: %w", server, ErrNoSymbol)
	}
	return err
}

// download gets one symbol file into the cache.
func (d *Debuginfod) download(ctx context.Context, server, id string) (_ *os.File, err error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/buildid/"+id+"/debuginfo", nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "gilscope")
	request.Header.Set("Accept-Encoding", "identity") // the limit is on what arrives
	response, err := d.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusNotFound:
		return nil, errNoServer
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answers %s", server, response.Status)
	}
	return d.store(response.Body, server, id)
}

// store writes a symbol file to the cache: under its name only once all of it
// is there and is what was asked for.
func (d *Debuginfod) store(body io.Reader, server, id string) (_ *os.File, err error) {
	part := "." + rand.Text() + ".part"
	f, err := d.dir.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
			d.dir.Remove(part)
		}
	}()
	n, err := io.Copy(f, io.LimitReader(body, d.limit+1))
	if err != nil {
		return nil, fmt.Errorf("download from %s: %w", server, err)
	}
	if n > d.limit {
		return nil, fmt.Errorf("%s sends more than %d bytes: %w", server, d.limit, ErrMalformed)
	}
	if _, ok := hasBuildID(f, id); !ok {
		return nil, fmt.Errorf("%s sends a file that is not the one with that build id: %w", server, ErrMalformed)
	}
	return f, d.dir.Rename(part, id+".debug")
}

// hasBuildID says whether a downloaded file is the symbol file with that id.
func hasBuildID(f *os.File, id string) (*image, bool) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, false
	}
	return isSymbolFile(f, info.Size(), id, debugLink{}, false)
}
