package layers

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const root = "../.." // of the module, where a test of this package runs

func TestModuleObeysTheLaw(t *testing.T) {
	for _, found := range check(moduleName(t), readModule(t)) {
		t.Error(found)
	}
}

// A rule about something that does not exist guards nothing.
func TestLawNamesWhatExists(t *testing.T) {
	exist := map[string]bool{}
	for _, s := range readModule(t) {
		exist[s.folder] = true
	}
	gomod, err := os.ReadFile(root + "/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range modules {
		if !slices.Contains(later, m) && !regexp.MustCompile(`(?m)^(require)?\s+`+regexp.QuoteMeta(m)+` v`).Match(gomod) {
			t.Errorf("the law speaks of the module %s, which go.mod does not require", m)
		}
	}
	for folder := range law {
		if !exist[folder] && !slices.Contains(later, folder) {
			t.Errorf("the law has a line for %s, where no Go file is: drop it, or list it as later", folder)
		}
	}
	for _, name := range later {
		if _, ok := law[name]; !ok && !slices.Contains(modules, name) {
			t.Errorf("%s is listed as later, and the law does not speak of it", name)
		}
	}
	known := func(pattern string) bool {
		for folder := range law {
			if match(pattern, folder) {
				return true
			}
		}
		return false
	}
	for folder, l := range law {
		for _, pattern := range l.may {
			if !known(pattern) {
				t.Errorf("the line of %s allows %s, of which the law knows nothing", folder, pattern)
			}
		}
		for _, m := range l.modules {
			if !slices.Contains(modules, m) {
				t.Errorf("the line of %s allows the module %s, which is not in the list", folder, m)
			}
		}
	}
	for _, b := range bans {
		for _, pattern := range slices.Concat(b.from, b.except, b.to) {
			if isOurs := slices.Contains(roles, role(pattern)) || pattern == "*test"; isOurs && !known(pattern) {
				t.Errorf("a ban names %s, of which the law knows nothing: %s", pattern, b.why)
			}
		}
	}
}

var roles = []string{"attest", "modem", "agent", "verifier", "testbench"}

// Every pair of every ban is planted, at first hand and behind another package.
func TestBanFindsPlantedImport(t *testing.T) {
	for _, b := range bans {
		for _, from := range b.from {
			for _, to := range b.to {
				from, to := concrete(from), concrete(to)
				t.Run(from+" to "+to, func(t *testing.T) {
					wantFinding(t, plant(from, to), from+" -> "+to, b.why)
					behind := "attest/behind"
					if matchAny(b.to, behind) {
						behind = "between"
					}
					wantFinding(t, join(plant(from, behind), plant(behind, to)), from+" -> "+behind+" -> "+to, b.why)
				})
			}
		}
	}
}

func TestBanLooksUnderBuildTags(t *testing.T) {
	minimal, agentSubmit := "agent/cmd/imei-agent", "agent/submit"
	tagged := func(tag string) fstest.MapFS { return withTag(tag, plant(minimal, agentSubmit)) }
	const why = "the minimal build is"
	wantFinding(t, tagged("minimal"), minimal+" -> "+agentSubmit, why)
	wantFinding(t, tagged("linux && arm64"), minimal+" -> "+agentSubmit, why)
	wantNo(t, tagged("!minimal"), why)
	wantFinding(t, withTag("windows && never", plant("attest", "modem")), "attest -> modem", "attest is the ground")
}

func TestBanExempts(t *testing.T) {
	wantNo(t, plant("agent/submit", "net/http"), "2.9 MB")
	wantNo(t, fstest.MapFS{"agent/vault_test.go": source1("agent", "net/http")}, "2.9 MB")
}

func TestFolderWithoutLineIsFound(t *testing.T) {
	wantFinding(t, plant("attest/utils", "fmt"), "attest/utils/planted.go", "no line in the law")
	wantFinding(t, fstest.MapFS{"surprise_test.go": source1("surprise", "fmt")}, "surprise_test.go", "no line in the law")
}

func TestMainStandsInCmd(t *testing.T) {
	wantFinding(t, fstest.MapFS{"attest/tool.go": source1("main", "fmt")}, "attest/tool.go", "<role>/cmd/<binary>")
}

// Each line allows what it lists and nothing else.
func TestLineAllowsWhatItListsOnly(t *testing.T) {
	const notAllowed = "does not allow"
	for folder, l := range law {
		for own := range law {
			if matchAny(l.may, own) {
				wantNo(t, plant(folder, own), notAllowed)
			} else {
				wantFinding(t, plant(folder, own), folder+"/planted.go: imports "+own, notAllowed)
			}
		}
		for _, m := range append(modules, "example.com/unheard-of") {
			if slices.Contains(l.modules, m) {
				wantNo(t, plant(folder, m), notAllowed)
				wantNo(t, plant(folder, m+"/below"), notAllowed)
			} else {
				wantFinding(t, plant(folder, m), folder+"/planted.go: imports "+m, notAllowed)
			}
			wantFinding(t, plant(folder, m+"-lookalike"), m+"-lookalike", notAllowed)
		}
	}
}

func TestTestsMayImportMore(t *testing.T) {
	const notAllowed = "does not allow"
	for _, c := range []struct {
		folder, imported string
		allowed          bool
	}{
		{"agent", module + "/agent", true}, // an external test
		{"agent", module + "/agent/softvault", true},
		{"agent", module + "/modem/modemtest", true},
		{"agent", module + "/testbench", true},
		{"verifier", module + "/attest/attesttest", true},
		{"verifier", goInternal + "/testscript", true},
		{"attest", goTPM + "/tpm2", true},
		{"modem", module + "/attest/imei", true},
		{"modem", module + "/attest", false},
		{"verifier", module + "/agent", false},
		{"agent", module + "/verifier", false},
		{"attest", module + "/verifier", false},
		{"attest", "example.com/unheard-of", false},
	} {
		fsys := fstest.MapFS{c.folder + "/planted_test.go": source1("planted_test", c.imported)}
		if c.allowed {
			wantNo(t, fsys, notAllowed)
		} else {
			wantFinding(t, fsys, c.folder+"/planted_test.go", notAllowed)
		}
	}
}

// Each name that touches the outside is planted in each folder.
func TestTouchingOutsideIsFound(t *testing.T) {
	for what, names := range touches {
		why := string(what) + ": " + outsideRules[what]
		for folder, l := range law {
			_, listed := l.opens[what]
			for pkg, used := range names {
				for _, name := range used {
					fsys := fstest.MapFS{folder + "/planted.go": use1(pkg, name)}
					if listed || isMain(folder) || isTestFolder(folder) {
						wantNo(t, fsys, why)
					} else {
						wantFinding(t, fsys, path.Base(pkg)+"."+name, why)
					}
					wantNo(t, fstest.MapFS{folder + "/planted_test.go": use1(pkg, name)}, why)
				}
			}
		}
	}
	renamed := &fstest.MapFile{Data: []byte("package attest\nimport wall \"time\"\nvar now = wall.Now\n")}
	wantFinding(t, fstest.MapFS{"attest/planted.go": renamed}, "time.Now", outsideRules[clock])
}

func TestReadRefusesWhatHidesUses(t *testing.T) {
	_, err := read(fstest.MapFS{"attest/planted.go": {Data: []byte("package attest\nimport . \"os\"\n")}})
	if err == nil || !strings.Contains(err.Error(), "hides") {
		t.Errorf("got %v, want an error about a dot import", err)
	}
}

func TestReadSkipsWhatGoSkips(t *testing.T) {
	bad := &fstest.MapFile{Data: []byte("no Go")}
	got, err := read(fstest.MapFS{"a/testdata/x.go": bad, "_b/x.go": bad, ".c/x.go": bad, "a/_x.go": bad, "a/x.txt": bad,
		"d/go.mod": {}, "d/x.go": bad, "d/deep/x.go": bad})
	if err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

// A nested module escapes the law, so each is listed, ships nothing, and brings no module into ours.
func TestNestedModules(t *testing.T) {
	for _, found := range checkNested(os.DirFS(root)) {
		t.Error(found)
	}
	good := fstest.MapFS{"agent/tpmvault/simulator/go.mod": {}, "agent/tpmvault/simulator/x_test.go": source1("x", "fmt")}
	if found := checkNested(good); len(found) != 0 {
		t.Errorf("unwanted: %q", found)
	}
	for name, planted := range map[string]fstest.MapFS{
		"not listed":   {"agent/hidden/go.mod": {}},
		"ships":        {"agent/tpmvault/simulator/go.mod": {}, "agent/tpmvault/simulator/deep/x.go": source1("x", "fmt")},
		"is no module": {"agent/agent.go": source1("agent", "fmt")},
	} {
		if len(checkNested(planted)) == 0 {
			t.Errorf("%s: not found", name)
		}
	}
}

// checkNested returns a sentence for each breach of the list of nested modules.
func checkNested(fsys fs.FS) (found []string) {
	for folder := range nested {
		if !isModule(fsys, folder) {
			found = append(found, folder+" is listed as a nested module and is none")
		}
	}
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && path.Base(name)[0] == '.':
			return fs.SkipDir
		case path.Base(name) == "go.mod" && name != "go.mod" && nested[path.Dir(name)] == "":
			found = append(found, name+": a nested module that the law does not list")
		}
		for folder := range nested {
			if strings.HasPrefix(name, folder+"/") && path.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go") {
				found = append(found, name+": a nested module holds tests only: "+nested[folder])
			}
		}
		return nil
	})
	if err != nil {
		found = append(found, err.Error())
	}
	return found
}

const module = "m.example/m" // of the planted trees

// concrete makes of a pattern a package that it matches.
func concrete(pattern string) string {
	if pattern == "*test" {
		return "modem/modemtest"
	}
	root, deep := strings.CutSuffix(pattern, "/...")
	if deep && path.Base(root) == "cmd" {
		return root + "/imei-planted"
	}
	return root
}

// plant is a tree in which one package imports another.
func plant(from, to string) fstest.MapFS {
	name := "planted"
	if isMain(from) {
		name = "main"
	}
	if slices.Contains(roles, role(to)) || to == "between" {
		to = module + "/" + to
	}
	return fstest.MapFS{from + "/planted.go": source1(name, to)}
}

func source1(name, imported string) *fstest.MapFile {
	return &fstest.MapFile{Data: fmt.Appendf(nil, "package %s\n\nimport _ %q\n", name, imported)}
}

func use1(pkg, name string) *fstest.MapFile {
	return &fstest.MapFile{Data: fmt.Appendf(nil, "package planted\n\nimport %q\n\nvar _ = %s.%s\n", pkg, path.Base(pkg), name)}
}

func join(a, b fstest.MapFS) fstest.MapFS {
	for name, file := range b {
		a[name] = file
	}
	return a
}

func withTag(tag string, fsys fstest.MapFS) fstest.MapFS {
	for _, file := range fsys {
		file.Data = append([]byte("//go:build "+tag+"\n\n"), file.Data...)
	}
	return fsys
}

func wantFinding(t *testing.T, fsys fs.FS, parts ...string) {
	t.Helper()
	all := findings(t, fsys)
	for _, found := range all {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(found, part) }) {
			return
		}
	}
	t.Errorf("no finding has all of %q; got %q", parts, all)
}

func wantNo(t *testing.T, fsys fs.FS, part string) {
	t.Helper()
	for _, found := range findings(t, fsys) {
		if strings.Contains(found, part) {
			t.Errorf("unwanted finding: %s", found)
		}
	}
}

func findings(t *testing.T, fsys fs.FS) []string {
	t.Helper()
	sources, err := read(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return check(module, sources)
}

// readModule reads this module, and fails when it finds so little that it must have looked in the wrong place.
func readModule(t *testing.T) []source {
	t.Helper()
	sources, err := read(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	const floor = 60 // files
	if len(sources) < floor {
		t.Fatalf("found %d Go files below %s, want at least %d", len(sources), root, floor)
	}
	return sources
}

// moduleName is asked of go.mod: whoever publishes the module renames it.
func moduleName(t *testing.T) string {
	t.Helper()
	gomod, err := os.ReadFile(root + "/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(gomod), "\n")
	name, ok := strings.CutPrefix(first, "module ")
	if !ok {
		t.Fatalf("the first line of go.mod is %q, want the module", first)
	}
	return name
}
