package trust_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier"
	"imei-attest/verifier/trust"
)

// first chooses the manufacturer whose credential key is named so.
func first(now *verifier.Trust) (*verifier.Anchor, error) {
	key := attesttest.Key("first")
	raw, err := attest.SignCoRIM(nil, "tag:example,2026:oem", []byte{0}, attesttest.Signer(key), attest.KeyIDOf(&key.PublicKey))
	if err != nil {
		return nil, err
	}
	_, anchor, err := now.Keys.VerifyCoRIM(raw)
	return anchor, err
}

func model(name string) func(*trust.File) (bool, error) {
	return func(f *trust.File) (bool, error) {
		_, err := f.Add(&trust.Additions{Models: []trust.Model{{HWModel: name, Firmware: []string{"1"}}}})
		return true, err
	}
}

func names(dir string) (names []string) {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestUpdatesAtTheSameTimeAllCount(t *testing.T) {
	dir := folder(t, map[string]string{"a.yaml": text(good(t, "first"))})
	var all sync.WaitGroup
	const updates = 20
	for i := range updates {
		all.Go(func() {
			if err := trust.Update(dir, first, model(fmt.Sprint("m", i))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	f := readFile(t, filepath.Join(dir, "a.yaml"))
	if len(f.Models) != updates || len(names(dir)) != 1 {
		t.Errorf("%d of %d updates are left, in %q", len(f.Models), updates, names(dir))
	}
}

func TestARefusedUpdateLeavesTheFolderAsItWas(t *testing.T) {
	problem := errors.New("no")
	add := func(edit func(*trust.File)) func(*trust.File) (bool, error) {
		return func(f *trust.File) (bool, error) { edit(f); return true, nil }
	}
	for _, c := range []struct {
		name   string
		choose func(*verifier.Trust) (*verifier.Anchor, error)
		change func(*trust.File) (bool, error)
		want   string
	}{
		{"by who chooses", func(*verifier.Trust) (*verifier.Anchor, error) { return nil, problem }, model("m"), "no"},
		{"by who changes", nil, func(*trust.File) (bool, error) { return true, problem }, "no"},
		{"because the file would be wrong", nil, add(func(f *trust.File) { f.TACs = nil }), "tacs: empty"},
		{"because the folder would be wrong", nil, add(func(f *trust.File) { f.CredentialKeys = append(f.CredentialKeys, publicPEM(t, "second")) }), "b.yaml"},
		{"because nothing is to be written", nil, func(f *trust.File) (bool, error) { f.Development = true; return false, nil }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := folder(t, map[string]string{"a.yaml": text(good(t, "first")), "b.yaml": text(good(t, "second"))})
			if c.choose == nil {
				c.choose = first
			}
			err := trust.Update(dir, c.choose, c.change)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			content, err := os.ReadFile(filepath.Join(dir, "a.yaml"))
			if err != nil || string(content) != text(good(t, "first")) || !slices.Equal(names(dir), []string{"a.yaml", "b.yaml"}) {
				t.Errorf("the folder holds %q, the file\n%s", names(dir), content)
			}
		})
	}
}

// TestWhatACrashLeftIsWrittenOver: the next update finds half a file of another one.
func TestWhatACrashLeftIsWrittenOver(t *testing.T) {
	dir := folder(t, map[string]string{"a.yaml": text(good(t, "first")), ".a.yaml.new": "half"})
	if _, _, err := trust.Load(dir); err != nil {
		t.Fatalf("the folder is refused: %v", err)
	}
	if err := trust.Update(dir, first, model("m")); err != nil {
		t.Fatal(err)
	}
	if f := readFile(t, filepath.Join(dir, "a.yaml")); len(f.Models) != 1 || !slices.Equal(names(dir), []string{"a.yaml"}) {
		t.Errorf("the folder holds %q, the file %+v", names(dir), f)
	}
}

// TestALinkIsNotReplaced: what it leads to may be another program's, or serve several folders.
func TestALinkIsNotReplaced(t *testing.T) {
	target := filepath.Join(folder(t, map[string]string{"oem": text(good(t, "first"))}), "oem")
	dir := t.TempDir()
	if err := os.Symlink(target, filepath.Join(dir, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := trust.Update(dir, first, model("m")); err == nil || !strings.Contains(err.Error(), "is a link") {
		t.Errorf("got %v", err)
	}
	if content, err := os.ReadFile(target); err != nil || string(content) != text(good(t, "first")) {
		t.Errorf("%v\n%s", err, content)
	}
}

func TestAFolderThatMayNotBeWrittenIsNamed(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root writes everywhere")
	}
	dir := folder(t, map[string]string{"a.yaml": text(good(t, "first"))})
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	if err := trust.Update(dir, first, model("m")); err == nil || !strings.Contains(err.Error(), "nothing was changed") || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
}

func TestFilesAreReadInOrder(t *testing.T) {
	dir := folder(t, map[string]string{"b.yaml": text(good(t, "second")), "a.yaml": text(full(t))})
	files, err := trust.Files(dir)
	want := []*trust.File{readFile(t, filepath.Join(dir, "a.yaml")), readFile(t, filepath.Join(dir, "b.yaml"))}
	if err != nil || !reflect.DeepEqual(files, want) {
		t.Errorf("got %+v, %v", files, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "c.yaml"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if files, err := trust.Files(dir); err == nil || files != nil {
		t.Errorf("a bad folder gave %+v", files)
	}
}
