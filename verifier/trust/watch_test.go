package trust_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imei-attest/verifier"
	"imei-attest/verifier/trust"
)

// patience is for a slow machine; that a second is enough is the matter of one test.
const patience = 20 * time.Second

// news is what was told of a folder: the file names of its manufacturers stand in their issuers.
type news struct {
	trust   *verifier.Trust
	anchors []*verifier.Anchor
	err     error
}

// watched is a folder under watch.
type watched struct {
	t    *testing.T
	dir  string
	told chan news
}

// watch watches a folder of good files.
func watch(t *testing.T, dir string) *watched {
	t.Helper()
	now, _, err := trust.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{t, dir, make(chan news, 100)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		trust.Watch(ctx, dir, now, func(now *verifier.Trust, anchors []*verifier.Anchor, err error) { w.told <- news{now, anchors, err} })
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		if len(w.told) > 0 {
			t.Errorf("told besides: %+v", <-w.told)
		}
	})
	return w
}

func (w *watched) next() news {
	w.t.Helper()
	select {
	case n := <-w.told:
		return n
	case <-time.After(patience):
		w.t.Fatal("nothing was told")
		return news{}
	}
}

// wantIssuers wants the next good news to be of these manufacturers. On a slow machine a moment in between may be told.
func (w *watched) wantIssuers(issuers ...string) {
	w.t.Helper()
	n := w.next()
	for ; n.err != nil; n = w.next() {
		w.t.Logf("refused in between: %v", n.err)
	}
	var got []string
	for _, a := range n.anchors {
		got = append(got, a.Issuer)
	}
	if strings.Join(got, " ") != strings.Join(issuers, " ") || n.trust.Keys.Len() != len(issuers) {
		w.t.Fatalf("got %q, want %q", got, issuers)
	}
}

func (w *watched) wantRefusal(words ...string) {
	w.t.Helper()
	n := w.next()
	if n.err == nil || n.trust != nil || n.anchors != nil {
		w.t.Fatalf("trusted: %+v", n.anchors)
	}
	for _, word := range words {
		if !strings.Contains(n.err.Error(), word) {
			w.t.Errorf("%q does not say %q", n.err, word)
		}
	}
}

func (w *watched) path(name string) string { return filepath.Join(w.dir, name) }

// write writes in place, as cp does.
func (w *watched) write(name, content string) {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) must(errs ...error) {
	w.t.Helper()
	for _, err := range errs {
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// of is the file of a manufacturer with a key of its own.
func of(t *testing.T, issuer string) string {
	lines := good(t, issuer)
	lines["issuer"] = "issuer: " + issuer + "\n"
	return text(lines)
}

func watchOne(t *testing.T) *watched {
	return watch(t, folder(t, map[string]string{"a.yaml": of(t, "a")}))
}

func TestChangesOfTheFolderAreTold(t *testing.T) {
	t.Run("a new file", func(t *testing.T) {
		t.Parallel()
		w := watchOne(t)
		w.write("b.yaml", of(t, "b"))
		w.wantIssuers("a", "b")
	})
	t.Run("a file that is removed", func(t *testing.T) {
		t.Parallel()
		w := watch(t, folder(t, map[string]string{"a.yaml": of(t, "a"), "b.yaml": of(t, "b")}))
		w.must(os.Remove(w.path("a.yaml")))
		w.wantIssuers("b")
	})
	t.Run("a file that is replaced by rename", func(t *testing.T) {
		t.Parallel()
		w := watchOne(t)
		w.write("a.yaml.new", of(t, "c"))
		w.must(os.Rename(w.path("a.yaml.new"), w.path("a.yaml")))
		w.wantIssuers("c")
	})
	t.Run("an editor that moves the old file away", func(t *testing.T) { // vim
		t.Parallel()
		w := watchOne(t)
		w.write(".a.yaml.swp", "b0VIM")
		w.must(os.Rename(w.path("a.yaml"), w.path("a.yaml~")))
		w.write("a.yaml", of(t, "c"))
		w.must(os.Remove(w.path("a.yaml~")), os.Remove(w.path(".a.yaml.swp")))
		w.wantIssuers("c")
	})
	t.Run("an editor that locks the file by a link to nothing", func(t *testing.T) { // Emacs
		t.Parallel()
		w := watchOne(t)
		w.must(os.Symlink("somebody@somewhere.1", w.path(".#a.yaml")))
		w.write("#a.yaml#", "half")
		w.write("a.yaml", of(t, "c"))
		w.wantIssuers("c")
		w.must(os.Remove(w.path(".#a.yaml")))
	})
	t.Run("a change before the watch began", func(t *testing.T) {
		t.Parallel()
		dir := folder(t, map[string]string{"a.yaml": of(t, "a")})
		before, _, err := trust.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		before.Generation++ // as of another folder
		told := make(chan news, 1)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		trust.Watch(ctx, dir, before, func(now *verifier.Trust, anchors []*verifier.Anchor, err error) {
			told <- news{now, anchors, err}
			cancel()
		})
		if n := <-told; n.err != nil || len(n.anchors) != 1 {
			t.Errorf("%+v", n)
		}
	})
}

// TestAFolderOfLinksIsFollowed: Kubernetes mounts a ConfigMap as links through ..data, and exchanges that.
func TestAFolderOfLinksIsFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	version := func(name, content string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "a.yaml"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(name, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version("..2026_01_01", of(t, "a"))
	if err := os.Symlink("..data/a.yaml", filepath.Join(dir, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	w := watch(t, dir)
	version("..2026_01_02", of(t, "b"))
	w.must(os.RemoveAll(w.path("..2026_01_01")))
	w.wantIssuers("b")
}

func TestABadChangeIsToldOnceAndTheNextGoodOneToo(t *testing.T) {
	t.Run("a file that is half written", func(t *testing.T) {
		t.Parallel()
		w := watchOne(t)
		content := of(t, "c")
		w.write("a.yaml", content[:len(content)/2])
		w.wantRefusal("a.yaml", "until it is mended or removed")
		w.write("a.yaml", content)
		w.wantIssuers("c")
	})
	t.Run("a fault that stays while the file is edited", func(t *testing.T) {
		t.Parallel()
		w := watchOne(t)
		broken := of(t, "a") + "weakness: none\n"
		w.write("a.yaml", broken)
		w.wantRefusal("a.yaml", `unknown key "weakness"`)
		w.write("a.yaml", broken+"# being mended\n")
		w.write("b.yaml", of(t, "b"))
		w.settle()
		w.write("a.yaml", of(t, "a"))
		w.wantIssuers("a", "b")
		w.write("a.yaml", broken) // the same again, after it was mended, is news
		w.wantRefusal("a.yaml", `unknown key "weakness"`)
		w.write("a.yaml", of(t, "a"))
		w.wantIssuers("a", "b")
	})
	t.Run("a change that is taken back", func(t *testing.T) {
		t.Parallel()
		w := watchOne(t)
		w.write("b.yaml", "")
		w.wantRefusal("b.yaml")
		w.must(os.Remove(w.path("b.yaml")))
		w.wantIssuers("a")
	})
	t.Run("an emptied folder", func(t *testing.T) {
		t.Parallel()
		w := watchOne(t)
		w.must(os.Remove(w.path("a.yaml")))
		w.wantRefusal(w.dir, "no .yaml file", "oem-anchor.yaml")
		w.write("b.yaml", of(t, "b"))
		w.wantIssuers("b")
	})
	t.Run("a folder that is deleted and made anew", func(t *testing.T) {
		t.Parallel()
		w := watchOne(t)
		w.must(os.RemoveAll(w.dir))
		w.wantRefusal(w.dir, "oem-anchor.yaml")
		w.must(os.Mkdir(w.dir, 0o755))
		w.write("b.yaml", of(t, "b"))
		w.wantIssuers("b")
	})
}

// settle gives the watch time to see what must not be told.
func (w *watched) settle() {
	w.t.Helper()
	select {
	case n := <-w.told:
		w.t.Fatalf("told: %+v", n)
	case <-time.After(time.Second):
	}
}

// TestAFolderWithoutEventsIsPolled: one that stands in the place of the watched one sends none.
func TestAFolderWithoutEventsIsPolled(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	link := filepath.Join(parent, "trust")
	first, second := folder(t, map[string]string{"a.yaml": of(t, "a")}), folder(t, map[string]string{"a.yaml": of(t, "b")})
	if err := os.Symlink(first, link); err != nil {
		t.Fatal(err)
	}
	w := watch(t, link)
	w.must(os.Symlink(second, link+".new"), os.Rename(link+".new", link))
	w.wantIssuers("b")
	w.write("c.yaml", of(t, "c"))
	w.wantIssuers("b", "c")
}

// TestAChangeTakesEffectWithinASecond, with events and without. A machine that is busy with other tests may need a
// second try.
func TestAChangeTakesEffectWithinASecond(t *testing.T) {
	const tries = 5
	within := func(t *testing.T, w *watched) {
		for i := range tries {
			begun := time.Now()
			w.write("a.yaml", of(t, "c")+strings.Repeat("#", i))
			w.wantIssuers("c")
			if time.Since(begun) < time.Second {
				return
			}
		}
		t.Errorf("none of %d changes took effect in a second", tries)
	}
	t.Run("events", func(t *testing.T) {
		t.Parallel()
		within(t, watchOne(t))
	})
	t.Run("no events", func(t *testing.T) {
		t.Parallel()
		w := watchOne(t)
		w.must(os.Rename(w.dir, w.dir+".old"), os.Mkdir(w.dir, 0o755))
		w.write("a.yaml", of(t, "b"))
		w.wantIssuers("b")
		within(t, w)
	})
}

func TestVerifiersWithTheSameFolderAgreeOnTheGeneration(t *testing.T) {
	a, b := of(t, "a"), of(t, "b")
	generation := func(files map[string]string) uint64 {
		t.Helper()
		got, _, err := trust.Load(folder(t, files))
		if err != nil {
			t.Fatal(err)
		}
		return got.Generation
	}
	first := generation(map[string]string{"a.yaml": a, "b.yaml": b})
	if again := generation(map[string]string{"b.yaml": b, "a.yaml": a, "README.md": "not ours", ".a.yaml": "hidden"}); again != first || first == 0 {
		t.Errorf("got %x and %x", first, again)
	}
	for name, files := range map[string]map[string]string{
		"another file":    {"a.yaml": a},
		"another name":    {"a.yaml": a, "c.yaml": b},
		"another content": {"a.yaml": a, "b.yaml": b + "#\n"},
		"files exchanged": {"a.yaml": b, "b.yaml": a},
	} {
		if generation(files) == first {
			t.Errorf("%s has the same generation", name)
		}
	}
}
