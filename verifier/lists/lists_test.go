package lists_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"imei-attest/attest/imei"
	"imei-attest/verifier"
	"imei-attest/verifier/lists"
)

const alice, bob = "001010000000017", "001010000000038"

func read(t testing.TB, lines ...string) *lists.List {
	t.Helper()
	l, err := lists.Read(strings.NewReader(strings.Join(append([]string{lists.Header}, lines...), "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func id(t testing.TB, body string) imei.IMEI {
	t.Helper()
	id, err := imei.FromBody(body)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func say(l verifier.Listed) string {
	return strings.TrimRight(fmt.Sprintf("%s %s %s", l.Colour, l.Breadth, l.Why), " ")
}

// TestPrecedence: the narrowest entry counts, and of those that are as narrow the worst, in whichever order they stand.
func TestPrecedence(t *testing.T) {
	const (
		tac     = "white,35693803,,tac"
		ranging = "grey,35693803000000-35693803999999,,range"
		exact   = "black,35693803564380,,unit"
		paired  = "white,356938035643809," + alice + ",owner"
	)
	for _, c := range []struct {
		name, who, want string
		lines           []string
	}{
		{"nothing", "", "", nil},
		{"the TAC", "", "white TAC tac", []string{tac}},
		{"a range before the TAC", "", "grey range range", []string{tac, ranging}},
		{"the IMEI before a range", "", "black IMEI unit", []string{tac, ranging, exact}},
		{"the subscriber before the IMEI", alice, "white pairing owner", []string{tac, ranging, exact, paired}},
		{"another subscriber", bob, "black IMEI unit", []string{tac, ranging, exact, paired}},
		{"no subscriber", "", "black IMEI unit", []string{tac, ranging, exact, paired}},
		{"a white IMEI before a black TAC", "", "white IMEI", []string{"black-wide,35693803,,", "white,35693803564380,,"}},
		{"black before grey before white, of pairings", alice, "black pairing b", []string{"white,35693803564380," + alice + ",w", "black,35693803564380,imsi-" + alice + ",b", "grey,35693803564380," + alice + ",g"}},
		{"black before white, of IMEIs", "", "black IMEI b", []string{"white,35693803564380,,w", "black,356938035643809,,b"}},
		{"grey before white, of IMEIs", "", "grey IMEI g", []string{"white,3569380356438001,,w", "grey,356938035643809,,g"}},
		{"black before grey, of ranges that overlap", "", "black range b", []string{"grey,35693803564300-35693803564399,,g", "black,35693803564380-35693803564400,,b"}},
		{"grey, beside a black range", "", "grey range g", []string{"grey,35693803564300-35693803564399,,g", "black,35693803564381-35693803564400,,b", "black,35693803564370-35693803564379,,b"}},
		{"black before white, of TACs", "", "black TAC b", []string{"white,35693803,,w", "black-wide,35693803,,b"}},
		{"the IMEI beside", "", "", []string{"black,35693803564381,,", "black,35693803564379,,", "black-wide,35693804,,"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 {
				if got := say(read(t, c.lines...).Find(id(t, "35693803564380"), c.who)); got != c.want {
					t.Errorf("got %q, want %q, of\n%s", got, c.want, strings.Join(c.lines, "\n"))
				}
				for i, j := 0, len(c.lines)-1; i < j; i, j = i+1, j-1 {
					c.lines[i], c.lines[j] = c.lines[j], c.lines[i]
				}
			}
		})
	}
}

// TestMistakes are told with line, column, cause and remedy, and without an IMEI.
func TestMistakes(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "line 1: there is no header: want status,imei,subscriber,reason"},
		{"another header", "imei,status\n", "line 1: is not the header"},
		{"semicolons", "status;imei;subscriber;reason\n", "separated by commas"},
		{"a column less", "black,35693803564380,\n", "line 2: has 3 columns"},
		{"another colour", "red,35693803564380,,\n", `line 2: status: "red" is none: want black, grey, white or black-wide`},
		{"a capital", "Black,35693803564380,,\n", `"Black" is none`},
		{"a wrong check digit", "black,356938035643808,,\n", "correct it, or write the first 14 digits"},
		{"the spare digit", "black,356938035643800,,\n", "correct it, or write the first 14 digits"},
		{"13 digits", "black,3569380356438,,\n", "line 2: imei: 13 characters are none"},
		{"17 digits", "black,35693803564380991,,\n", "17 characters are none"},
		{"a letter", "black,3569380356438O,,\n", "line 2: imei: "},
		{"zeros", "black,00000000000000,,\n", "line 2: imei: "},
		{"no IMEI", "black,,,\n", "imei: is empty"},
		{"spaces", "black, 35693803564380,,\n", "line 2: imei: "},
		{"a range that ends before it begins", "black,35693803564380-35693803564379,,\n", "exchange the two"},
		{"a range with check digits", "black,356938035643809-356938035643900,,\n", "without the check digit"},
		{"a range of two TACs", "black,35693803999999-35693804000000,,\n", "a line for each TAC"},
		{"an open range", "black,35693803564380-,,\n", "a range is two times"},
		{"a black TAC", "black,35693803,,\n", "black for 1000000 IMEIs: write black-wide"},
		{"a wide black range", "black,35693803000000-35693803010000,,\n", "black for 10001 IMEIs"},
		{"a pairing of a TAC", "white,35693803," + alice + ",\n", "a pairing is of one IMEI"},
		{"a subscriber's number", "white,35693803564380,0101,\n", "subscriber: is none"},
		{"a subscriber with a space", "white,35693803564380,al ice@example.com,\n", "subscriber: is none"},
		{"an IMEI in the reason", "white,35693803564380,,as 356938035643809\n", "may name somebody"},
		{"a telephone number in the reason", "white,35693803564380,,ask 004930123\n", "may name somebody"},
		{"an address in the reason", "white,35693803564380,,ask alice@example.com\n", "may name somebody"},
		{"a long reason", "white,35693803564380,," + strings.Repeat("x", 65) + "\n", "has 65 characters"},
		{"a reason that cannot be printed", "white,35693803564380,,\x1b[2J\n", "cannot be printed"},
		{"a reason that is no UTF-8", "white,35693803564380,,\xff\n", "cannot be printed"},
		{"half a quotation", "white,35693803564380,,\"stolen\n", "quotation marks do not match"},
		{"a long line", "white,35693803564380,," + strings.Repeat("x", 600) + "\n", "line 2: has more than 511 bytes"},
		{"a forced line in the middle", "#forced\n", "line 2: has 1 columns"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := c.text
			if c.text != "" && !strings.Contains(c.text, "imei") {
				text = lists.Header + "\n" + c.text
			}
			_, err := lists.Read(strings.NewReader(text))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "356938035643") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestAllMistakesAreTold(t *testing.T) {
	_, err := lists.Read(strings.NewReader(lists.Header + "\nred,35693803,,\nwhite,35693803,,\nwhite,1,,\n"))
	if got := fmt.Sprint(err); strings.Count(got, "\n") != 1 || !strings.Contains(got, "line 2: status") || !strings.Contains(got, "line 4: imei") {
		t.Errorf("got %s", got)
	}
	_, err = lists.Read(strings.NewReader(lists.Header + strings.Repeat("\nred,35693803,,", 1000)))
	if got := fmt.Sprint(err); strings.Count(got, "\n") != 20 || !strings.HasSuffix(got, "the rest was not read") {
		t.Errorf("got %s", got)
	}
}

func TestWhatSpreadsheetsWriteIsRead(t *testing.T) {
	l, err := lists.Read(strings.NewReader("\ufeff" + lists.Header + "\r\nblack,356938035643809,,\"stolen, \"\"twice\"\"\"\r\ngrey,35693803,,a, b\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := say(l.Find(id(t, "35693803564380"), "")); got != `black IMEI stolen, "twice"` {
		t.Errorf("got %s", got)
	}
	if got := say(l.Find(id(t, "35693803564381"), "")); got != "grey TAC a, b" {
		t.Errorf("got %s", got)
	}
}

// many is a list of n IMEIs of a thousand TACs, in no order, with a few words as reasons.
func many(n int) string {
	var b strings.Builder
	b.WriteString(lists.Header + "\n")
	r := rand.New(rand.NewPCG(1, 2))
	for range n {
		fmt.Fprintf(&b, "%s,35%03d000%06d,,reason %d\n", verifier.Colours()[r.IntN(3)], r.IntN(1000), r.IntN(1_000_000), r.IntN(100))
	}
	return b.String()
}

// TestAMillionEntries fit, and are found without memory.
func TestAMillionEntries(t *testing.T) {
	text := many(1_000_000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l, err := lists.Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	total := l.Counts().Total()
	each := float64(after.HeapAlloc-before.HeapAlloc) / float64(total)
	t.Logf("%d entries of %d bytes of memory each, from %d MB", total, int(each), len(text)>>20)
	if total < 999_000 || each > 32 {
		t.Errorf("%d entries of %.0f bytes", total, each)
	}
	who := id(t, "35123000123456")
	if allocs := testing.AllocsPerRun(100, func() { l.Find(who, alice) }); allocs != 0 {
		t.Errorf("%v allocations to find one", allocs)
	}
	runtime.KeepAlive(text)
}

func TestTooManyEntries(t *testing.T) {
	if testing.Short() {
		t.Skip("two million lines")
	}
	_, err := lists.Read(strings.NewReader(lists.Header + strings.Repeat("\nwhite,35693803,,", lists.MaxEntries+30)))
	if want := fmt.Sprintf("line %d: is more than 2000000 entries: put ranges or TACs in the place of single IMEIs", lists.MaxEntries+2); fmt.Sprint(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func BenchmarkFind(b *testing.B) {
	l, err := lists.Read(strings.NewReader(many(1_000_000)))
	if err != nil {
		b.Fatal(err)
	}
	who := id(b, "35123000123456")
	b.ReportAllocs()
	for b.Loop() {
		l.Find(who, alice)
	}
}

func BenchmarkRead(b *testing.B) {
	text := many(100_000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := lists.Read(strings.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}

func put(t testing.TB, path string, lines ...string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

// block are n black IMEIs of a TAC.
func block(tac string, n int) (lines []string) {
	for i := range n {
		lines = append(lines, fmt.Sprintf("black,%s%06d,,", tac, i))
	}
	return lines
}

// TestGuards: what a list may lose and gain at once.
func TestGuards(t *testing.T) {
	for _, c := range []struct {
		name     string
		was, now int
		want     string
	}{
		{"the first", 0, 100_000, ""},
		{"the same", 10, 10, ""},
		{"all of a few gone", 1, 0, "the list is empty, and the one in force has 1 entries"},
		{"nothing in the place of nothing", 0, 0, ""},
		{"a hundred gone", 101, 1, ""},
		{"more than a hundred gone, and more than half", 102, 1, "lost more than half of its entries, 101 of 102"},
		{"half gone", 1000, 500, ""},
		{"more than half gone", 1000, 499, "lost more than half"},
		{"a thousand more", 1, 1001, ""},
		{"more than a thousand more", 1, 1002, "more than doubled, from 1 entries to 1002"},
		{"doubled", 3000, 6000, ""},
		{"more than doubled", 3000, 6001, "more than doubled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := lists.Guard(read(t, block("35693803", c.was)...), read(t, block("35693803", c.now)...))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	const n = 1000
	black := block("35693803", n)
	white := strings.Split(strings.ReplaceAll(strings.Join(black, "\n"), "black", "white"), "\n")
	for _, c := range []struct {
		name string
		now  []string
		want string
	}{
		{"another list that is as long", block("49015420", n), "lost more than half of its entries, 1000 of 1000"},
		{"half of it another", slices.Concat(black[:n/2], block("49015420", n/2)), ""},
		{"all white that was black", white, "more than half of the list's entries have another status, 1000 of 1000"},
		{"half of it white", slices.Concat(white[:n/2], black[n/2:]), ""},
	} {
		err := lists.Guard(read(t, black...), read(t, c.now...))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	if err := lists.Guard(nil, read(t)); err != nil {
		t.Errorf("where there was none: %v", err)
	}
}

// TestImport: refused and tried lists change nothing, others all in one step.
func TestImport(t *testing.T) {
	dir := t.TempDir()
	into, from := filepath.Join(dir, "list.csv"), filepath.Join(dir, "new.csv")
	was := put(t, into, append([]string{lists.Header, "white,490154203237518,,ours"}, block("35693803", 300)...)...)
	text := func() string { b, _ := os.ReadFile(into); return string(b) }
	before := text()

	put(t, from, lists.Header, "black,49015420323751,,ours", "red,35693803,,")
	if _, err := lists.Import(from, into, true, false); err == nil || text() != before {
		t.Errorf("a mistake: %v", err)
	}
	put(t, from, lists.Header, "grey,49015420323751,,ours")
	d, err := lists.Import(from, into, false, false)
	if _, refused := err.(*lists.RefusedError); !refused || text() != before || d.Removed[verifier.ColourBlack] != 300 || d.Recoloured[verifier.ColourGrey] != 1 {
		t.Errorf("too much: %v, %+v", err, d)
	}
	if _, err := lists.Import(from, into, true, true); err != nil || text() != before {
		t.Errorf("tried: %v", err)
	}
	if _, err := lists.Import(from, into, true, false); err != nil || text() != "#forced\n"+lists.Header+"\ngrey,49015420323751,,ours\n" {
		t.Errorf("forced: %v\n%s", err, text())
	}
	put(t, from, "#forced", lists.Header, "grey,49015420323751,,theirs", "white,35693803,,")
	d, err = lists.Import(from, into, false, false)
	if err != nil || text() != lists.Header+"\ngrey,49015420323751,,theirs\nwhite,35693803,,\n" {
		t.Errorf("the next: %v\n%s", err, text())
	}
	if want := "map[grey:1] map[white:1] map[] map[] map[grey:1] map[grey:1 white:1]"; fmt.Sprint(d.Was, d.Added, d.Removed, d.Recoloured, d.Reworded, d.Is) != want {
		t.Errorf("got %v, want %s", d, want)
	}
	if info, _ := os.Stat(was); info.Mode().Perm() != 0o640 {
		t.Errorf("its mode is %v", info.Mode())
	}
	put(t, into, "rubbish")
	if _, err := lists.Import(from, into, false, false); err == nil || text() != "rubbish\n" {
		t.Errorf("in the place of rubbish: %v", err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 2 {
		t.Errorf("left behind: %v", files)
	}
}

// TestTheOperatorsPageShowsAList that is one.
func TestTheOperatorsPageShowsAList(t *testing.T) {
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(page), "```csv\n")
	shown, _, _ = strings.Cut(shown, "```")
	l, err := lists.Read(strings.NewReader(shown))
	if err != nil || fmt.Sprint(l.Counts()) != "map[black:2 grey:1 white:2]" {
		t.Errorf("%v of\n%s", err, shown)
	}
}

// TestWatch: what is written is used within a second, what cannot be is refused once, and what was refused is not looked at again.
func TestWatch(t *testing.T) {
	path := put(t, filepath.Join(t.TempDir(), "list.csv"), lists.Header, "black,49015420323751,,")
	l, err := lists.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	used, refused := make(chan *lists.List, 9), make(chan error, 9)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		lists.Watch(ctx, path, l, func(now *lists.List) error {
			if err := lists.Guard(l, now); err != nil {
				return err
			}
			used <- now
			return nil
		}, func(err error) { refused <- err })
	}()
	put(t, path, lists.Header, "red,49015420323751,,")
	if err := <-refused; !strings.Contains(err.Error(), path+": line 2: status") {
		t.Errorf("a mistake: %v", err)
	}
	put(t, path, lists.Header)
	if err := <-refused; !strings.Contains(err.Error(), "the list is empty") {
		t.Errorf("an empty one: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := <-refused; !strings.Contains(err.Error(), "lists nothing") {
		t.Errorf("none: %v", err)
	}
	put(t, path, lists.Header, "grey,49015420323751,,", "white,49015420,,")
	if now := <-used; fmt.Sprint(now.Counts()) != "map[grey:1 white:1]" {
		t.Errorf("a good one: %v", now.Counts())
	}
	stop()
	<-ended
	if len(used)+len(refused) != 0 {
		t.Errorf("%d more were used, and %d refused", len(used), len(refused))
	}
}
