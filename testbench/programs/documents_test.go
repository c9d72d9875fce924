package programs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/modem/modemtest"
	"imei-attest/testbench/peertest"
)

// The documents are run as a reader would follow them. The rules, for who writes them:
//
//   - A block marked sh is run by bash -e, in a folder that looks like the project's, with the programs in PATH. Blocks
//     of one document run in order and in one shell; "sh NAME" puts a block into a shell of its own, as a second window.
//   - Programs in the background have answered before the next block begins; the last block ends them.
//   - A block of make lines is not run: its targets must exist. The output of make demo is that of the demonstration.
//   - A block marked text that follows one marked sh shows lines of its output, in order. "..." is any text; a line
//     of nothing else is any lines.
//   - A block marked go stands in the file that the comment above it names: <!-- from FILE -->.
//   - A TPM engine stands for /dev/tpmrm0, an emulated modem for /dev/ttyUSB2, a free port for 127.0.0.1:8080. So keys of a
//     manufacturer are made for development: no other vouches for an engine.
var documents = []string{"README.md", "agent/README.md", "agent/KEYS.md", "testbench/README.md"}

const (
	documentIMEI     = "490154203237518" // of the modem behind /dev/ttyUSB2
	documentPatience = time.Minute       // for one block
)

// block is a fenced part of a document.
type block struct {
	line  int      // of its first line
	kind  string   // sh, text, go, ...
	shell string   // the word after sh
	text  string   // without the fences
	from  string   // the file that a comment above names
	shows []string // the lines of the text block that follows directly
}

func TestDocuments(t *testing.T) {
	needPrograms(t)
	for _, name := range documents {
		t.Run(strings.ReplaceAll(name, "/", "-"), func(t *testing.T) {
			blocks := readBlocks(t, name)
			if slices.ContainsFunc(blocks, needsTPM) {
				tpmtest.New(t) // skips, or fails where peers are required
			}
			if slices.ContainsFunc(blocks, func(b block) bool { return b.kind == "sh" && strings.Contains(b.text, "tpm2_pcrextend") }) {
				peertest.Use(t, peertest.Peer{Name: "tpm2-tools", Program: "tpm2_pcrextend"}, "extends the registers of a trial")
			}
			p := &page{t: t, name: name, dir: projectFolder(t), shells: make(map[string]*shell)}
			for _, b := range blocks {
				p.check(b)
			}
			p.end()
		})
	}
}

func needsTPM(b block) bool {
	return b.kind == "sh" && regexp.MustCompile(`swtpm|/dev/tpmrm0|make demo|imei-lab demo`).MatchString(b.text)
}

func TestLinksOfDocuments(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	pages := append([]string{"NEWS.md", "CONTRIBUTING.md", "SECURITY.md"}, documents...)
	for _, path := range mains {
		pages = append(pages, path+"/README.md")
	}
	for _, name := range pages {
		raw, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, match := range link.FindAllStringSubmatch(string(raw), -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(name), match[1])); err != nil {
				t.Errorf("%s: link: %v", name, err)
			}
		}
	}
}

// readBlocks returns the fenced blocks of a document.
func readBlocks(t *testing.T, name string) []block {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []block
	var open *block
	from, directly := "", false
	for i, line := range strings.Split(string(raw), "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open == nil:
			kind, shell, _ := strings.Cut(fence, " ")
			open = &block{line: i + 2, kind: kind, shell: shell, from: from}
		case isFence:
			if last := len(blocks) - 1; open.kind == "text" && directly {
				blocks[last].shows = strings.Split(strings.TrimSuffix(open.text, "\n"), "\n")
			} else {
				blocks = append(blocks, *open)
			}
			directly, open, from = open.kind == "sh", nil, ""
		case open != nil:
			open.text += line + "\n"
		case line != "":
			directly, from = false, ""
			if file, ok := strings.CutPrefix(line, "<!-- from "); ok {
				from = strings.TrimSuffix(file, " -->")
			}
		}
	}
	if open != nil {
		t.Fatalf("%s:%d: the block does not end", name, open.line)
	}
	return blocks
}

func TestReadBlocksFindsThem(t *testing.T) {
	count := make(map[string]int)
	for _, name := range documents {
		for _, b := range readBlocks(t, name) {
			count[b.kind]++
			if b.shows != nil {
				count["output"]++
			}
		}
	}
	// A floor: a reader of blocks that finds none lets everything pass.
	for kind, floor := range map[string]int{"sh": 12, "go": 2, "output": 6} {
		if count[kind] < floor {
			t.Errorf("%d blocks of kind %s in %v, want at least %d", count[kind], kind, documents, floor)
		}
	}
}

// projectFolder looks like the project's, and what is built or made there is not.
func projectFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"attest", "modem", "agent", "verifier", "testbench", "Makefile", "go.mod"} {
		if err := os.Symlink(filepath.Join(top, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// page is a document being followed.
type page struct {
	t        *testing.T
	name     string
	dir      string
	shells   map[string]*shell
	standIns *strings.Replacer
}

func (p *page) check(b block) {
	p.t.Helper()
	switch {
	case b.kind == "go":
		p.checkSource(b)
	case b.kind == "sh" && strings.HasPrefix(b.text, "make "):
		p.checkMake(b)
	case b.kind == "sh":
		p.run(b)
	case b.kind == "text" && b.shows != nil:
		p.t.Errorf("%s:%d: output of nothing", p.name, b.line)
	}
}

func (p *page) checkSource(b block) {
	p.t.Helper()
	source, err := os.ReadFile(filepath.Join(root, b.from))
	if b.from == "" || err != nil {
		p.t.Errorf("%s:%d: Go without a comment above it that names its file, <!-- from FILE -->: %v", p.name, b.line, err)
		return
	}
	if !strings.Contains(string(source), b.text) {
		p.t.Errorf("%s:%d: this is not in %s any more:\n%s", p.name, b.line, b.from, b.text)
	}
}

func (p *page) checkMake(b block) {
	p.t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(b.text), "\n") {
		line, _, _ = strings.Cut(line, " #")
		words := strings.Fields(line)
		if len(words) != 2 || words[0] != "make" {
			p.t.Errorf("%s:%d: %q: want only lines of make and a target in this block", p.name, b.line, line)
			continue
		}
		c := exec.Command("make", "-n", words[1])
		c.Dir = root
		out, err := c.CombinedOutput()
		if err != nil {
			p.t.Errorf("%s:%d: make -n %s: %v\n%s", p.name, b.line, words[1], err, out)
		}
		if b.shows != nil && !strings.Contains(string(out), "bin/imei-lab demo ") {
			p.t.Errorf("%s:%d: output is shown, and make %s does not run the demonstration:\n%s", p.name, b.line, words[1], out)
		}
	}
	if b.shows != nil {
		p.run(block{line: b.line, shell: "make", text: "imei-lab demo --out demo\n", shows: b.shows})
	}
}

func (p *page) run(b block) {
	p.t.Helper()
	s, ok := p.shells[b.shell]
	if !ok {
		s = newShell(p.t, p.dir)
		p.shells[b.shell] = s
	}
	out, err := s.run(p.standIn(b.text) + readiness(p.standIn(b.text)))
	if err != nil {
		p.t.Fatalf("%s:%d: %v\n%s\nOutput:\n%s", p.name, b.line, err, b.text, out)
	}
	if missing, ok := shows(out, b.shows); !ok {
		p.t.Errorf("%s:%d: the document shows\n\t%s\nand the output (from where it was expected) has not:\n%s", p.name, b.line, missing, out)
	}
}

func (p *page) end() {
	p.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(p.shells)) {
		if err := p.shells[name].end(); err != nil {
			p.t.Errorf("%s: shell %q: %v", p.name, name, err)
		}
	}
}

// standIn replaces what a test machine has not.
func (p *page) standIn(text string) string {
	const tpm, port, address = "/dev/tpmrm0", "/dev/ttyUSB2", "127.0.0.1:8080"
	if p.standIns == nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			p.t.Fatal(err)
		}
		defer l.Close()
		p.standIns = strings.NewReplacer("oem-key --issuer", "oem-key --development --issuer", tpm, "unix:"+p.dir+"/stand-in.tpm", port, p.dir+"/stand-in.modem", address, l.Addr().String())
	}
	if strings.Contains(text, tpm) {
		p.link("stand-in.tpm", func() string { return tpmtest.New(p.t).Socket() })
	}
	if strings.Contains(text, port) {
		p.link("stand-in.modem", func() string { return startModem(p.t) })
	}
	return p.standIns.Replace(text)
}

// link makes the thing and its name at first use.
func (p *page) link(name string, start func() string) {
	name = filepath.Join(p.dir, name)
	if _, err := os.Lstat(name); err == nil {
		return
	}
	if err := os.Symlink(start(), name); err != nil {
		p.t.Fatal(err)
	}
}

// startModem returns the path of a terminal with a modem behind it.
func startModem(t *testing.T) string {
	t.Helper()
	emulator, err := modemtest.New(modemtest.Config{IMEI: documentIMEI})
	if err != nil {
		t.Fatal(err)
	}
	pty, err := modemtest.OpenPTY("")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- emulator.Serve(ctx, pty) }()
	t.Cleanup(func() { cancel(); pty.Close(); <-ended })
	return pty.Path
}

// readiness are shell lines that wait for what the text starts in the background, as a reader does who types slower than programs start.
func readiness(text string) string {
	var waits strings.Builder
	for _, w := range []struct{ pattern, until string }{
		{`--link (\S+)`, `[ -e $1 ]`},
		{`type=unixio,path=([^\s,]+)`, `[ -S $1 ]`},
		{`--listen ([\d.]+):(\d+)`, `(: >/dev/tcp/$1/$2) 2>/dev/null`},
	} {
		pattern := regexp.MustCompile(w.pattern)
		for _, match := range pattern.FindAllStringSubmatchIndex(text, -1) {
			waits.WriteString("until " + string(pattern.ExpandString(nil, w.until, text, match)) + "; do sleep 0.02; done\n")
		}
	}
	return waits.String()
}

// shows looks for the lines in the output, in order.
func shows(out string, want []string) (missing string, ok bool) {
	lines := strings.Split(out, "\n")
	gap := regexp.MustCompile(`\s*` + regexp.QuoteMeta(regexp.QuoteMeta("...")) + `\s*`)
	for _, w := range want {
		if strings.TrimSpace(w) == "..." {
			continue
		}
		pattern := regexp.MustCompile("^" + gap.ReplaceAllString(regexp.QuoteMeta(w), ".*") + `\s*$`)
		at := slices.IndexFunc(lines, pattern.MatchString)
		if at < 0 {
			return w, false
		}
		lines = lines[at+1:]
	}
	return "", true
}

func TestShowsTellsOtherOutput(t *testing.T) {
	const out = "first  12 bytes (a|b)\nsecond\nthird line\n"
	for _, c := range []struct {
		want []string
		ok   bool
	}{
		{nil, true},
		{[]string{"first  ... bytes (a|b)", "...", "third line"}, true},
		{[]string{"second"}, true},
		{[]string{"second", "first  12 bytes (a|b)"}, false},
		{[]string{"first  13 bytes (a|b)"}, false},
		{[]string{"secon"}, false},
		{[]string{"third"}, false},
		{[]string{"third ..."}, true},
	} {
		if _, ok := shows(out, c.want); ok != c.ok {
			t.Errorf("shows(%q): %t, want %t", c.want, ok, c.ok)
		}
	}
}

// shell is a bash that ends at the first error.
type shell struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *collector
	dir     string // of the scripts
	blocks  int
	done    chan struct{}
}

func newShell(t *testing.T, dir string) *shell {
	t.Helper()
	s := &shell{command: exec.Command("bash", "-e"), out: &collector{}, dir: t.TempDir(), done: make(chan struct{})}
	s.command.Dir = dir
	s.command.Env = append(os.Environ(), "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"), "HOME="+dir)
	s.command.Stdout, s.command.Stderr = s.out, s.out
	s.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what is left over can be found and ended
	s.command.WaitDelay = time.Second
	var err error
	if s.in, err = s.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.command.Wait(); close(s.done) }() //nolint:errcheck // how it ends is read from its output
	t.Cleanup(func() {
		_ = syscall.Kill(-s.command.Process.Pid, syscall.SIGKILL)
		<-s.done
	})
	return s
}

// run gives the shell a script and returns what it, and what runs behind it, wrote meanwhile.
func (s *shell) run(script string) (string, error) {
	s.blocks++
	file, mark := filepath.Join(s.dir, fmt.Sprint(s.blocks)), fmt.Sprintf("--- end of block %d ---", s.blocks)
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		return "", err
	}
	before := len(s.out.String())
	if _, err := fmt.Fprintf(s.in, ". %s </dev/null\nprintf '\\n%%s\\n' '%s'\n", file, mark); err != nil {
		return "", err
	}
	for deadline := time.Now().Add(documentPatience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		out := s.out.String()[before:]
		if text, _, found := strings.Cut(out, mark); found {
			return text, nil
		}
		select {
		case <-s.done:
			return s.out.String()[before:], fmt.Errorf("a command fails: %v", s.command.ProcessState)
		default:
		}
	}
	return s.out.String()[before:], fmt.Errorf("no end within %v", documentPatience)
}

// end ends the shell and reports programs that the document leaves running.
func (s *shell) end() error {
	if err := s.in.Close(); err != nil {
		return err
	}
	<-s.done
	if err := syscall.Kill(-s.command.Process.Pid, 0); err == nil {
		return fmt.Errorf("the document does not end all programs that it starts")
	}
	return nil
}

// collector keeps what several writers write.
type collector struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *collector) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *collector) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
