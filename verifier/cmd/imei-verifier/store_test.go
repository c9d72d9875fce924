package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier"
	"imei-attest/verifier/store/sqlite"
)

// stateWithStore is a state folder whose store has some decisions, of which two are on one device.
func stateWithStore(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	s := openTestStore(t, dir)
	for n := byte(1); n <= 3; n++ {
		commitOne(t, s, n)
	}
	closed(t, s)
	return dir
}

func openTestStore(t *testing.T, dir string) *sqlite.Store {
	t.Helper()
	keys, err := openState(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := openStore(context.Background(), dir, keys.result, sqlite.Retention{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closed(t *testing.T, s *sqlite.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func commitOne(t *testing.T, s *sqlite.Store, n byte) {
	t.Helper()
	holder := verifier.Holder{Key: attest.KeyID{1}, Issuer: "tag:example,2026:oem", Serial: 1}
	d := verifier.Decision{Now: time.Now(), Expiry: time.Now().Add(attest.NonceLife), Presentation: verifier.Presentation{Nonce: attest.Nonce{n}},
		Record: &verifier.Record{Verdict: verifier.Verdict{ID: verifier.DecisionID{n}}, Facts: verifier.Facts{Now: time.Now()}},
		Device: &verifier.Device{Key: holder.Key, Credential: []byte("credential"),
			Holds: []verifier.Hold{{IMEI: attesttest.MustIMEI(attesttest.IMEI1), Was: holder, Is: holder}}}}
	if n == 1 {
		d.Device.Holds[0].Was = verifier.Holder{}
	}
	if done, err := s.Commit(context.Background(), d); err != nil || done.Conflict {
		t.Fatalf("%+v, %v", done, err)
	}
}

func TestStoreCommandsOnASoundStore(t *testing.T) {
	dir := stateWithStore(t)
	backup := filepath.Join(t.TempDir(), "backup.db")
	for _, c := range []struct{ command, want string }{
		{"store check --state " + dir, "nothing found; imei-verifier audit verify follows"},
		{"store check --json --state " + dir, `"sound": true`},
		{"store stats --state " + dir, "0 rows under a former key"},
		{"store stats --json --state " + dir, `"name": "holders"`},
		{"store backup --out " + backup + " --state " + dir, "the backup is"},
		{"store export --state " + dir, `"status":"none"`},
		{"store sweep --state " + dir, "removed: nonces 0"},
		{"audit verify --state " + dir, "entries 1 to 3 are as they were written"},
		{"audit verify --json --state " + dir, `"last": 3`},
		{"store restore --force --from " + backup + " --state " + dir, "restored from"},
		{"audit verify --state " + dir, "entries 1 to 4 are as they were written"},
	} {
		got := execute("", strings.Fields(c.command)...)
		if got.code != exitYes || !strings.Contains(got.stdout, c.want) || got.stderr != "" {
			t.Errorf("%s: %d %q %q, want %q", c.command, got.code, got.stdout, got.stderr, c.want)
		}
	}
}

func TestStoreCommandsRefuse(t *testing.T) {
	dir, empty := stateWithStore(t), filepath.Join(t.TempDir(), "empty")
	file := write(t, "x.db", []byte("no store"))
	without := func(name string) string {
		other := stateWithStore(t)
		if err := os.Remove(filepath.Join(other, name)); err != nil {
			t.Fatal(err)
		}
		return other
	}
	busy := stateWithStore(t)
	s := openTestStore(t, busy)
	defer closed(t, s)
	for _, c := range []struct {
		command string
		code    int
		want    string
	}{
		{"store", exitUsage, "want check, stats"},
		{"audit", exitUsage, "want verify or checkpoint"},
		{"store check", exitUsage, "store check needs --state"},
		{"store check --state " + empty, exitUsage, "imei.key is missing"},
		{"store stats --state " + without(storeFile), exitUsage, "no such file"},
		{"store sweep --state " + without(storeFile), exitUsage, "no such file"},
		{"store stats --state " + without(deviceKeyFile), exitUsage, "put it back"},
		{"store stats --state " + without(subscriberKeyFile), exitUsage, "put it back"},
		{"store backup --state " + dir + " --out " + file, exitUsage, "is there already"},
		{"store restore --state " + dir + " --from " + file, exitUsage, file + " is no backup of imei-verifier store backup: nothing was changed"},
		{"store restore --force --state " + dir + " --from " + file, exitUsage, "is no backup of imei-verifier store backup"},
		{"store restore --force --state " + dir + " --from " + write(t, "empty.db", nil), exitUsage, "is no backup of imei-verifier store backup"},
		{"store restore --force --state " + dir + " --from " + damagedStore(t), exitUsage, "is damaged: nothing was changed"},
		{"store restore --state " + dir + " --from " + filepath.Join(dir, storeFile), exitUsage, "with --force"},
		{"store restore --state " + dir + " --from " + file + ".missing", exitUsage, "no such file"},
		{"store restore --force --state " + busy + " --from " + file, exitUsage, "in use by process"},
		{"store sweep --state " + busy, exitUsage, "in use by process"},
		{"store sweep --records 1s --state " + dir, exitUsage, "--records: 1s is less than 24h, the least"},
		{"store sweep --subscribers 0s --state " + dir, exitUsage, "--subscribers: 0s is less than 24h, the least"},
		{"store sweep --audit -1h --state " + dir, exitUsage, "--audit: -1h0m0s is less than 24h, the least"},
		{"store export --state " + dir + " --since yesterday", exitUsage, "want a time"},
		{"store rotate --state " + dir + " --key both", exitUsage, "want imei or subscriber"},
		{"store rotate --state " + dir + " --key imei --finish", exitUsage, "there is no former key"},
		{"audit verify --state " + dir + " --checkpoint " + file, exitUsage, file + " is no checkpoint"},
		{"audit verify --state " + dir + " --checkpoint " + file + ".missing", exitUsage, "no such file"},
		{"audit verify --state " + dir + " --key " + file, exitUsage, "want an ECDSA key in PEM"},
		{"audit verify --state " + without(resultKeyFile), exitUsage, "the verifier's key"},
	} {
		got := execute("", strings.Fields(c.command)...)
		if got.code != c.code || !strings.Contains(got.stderr, c.want) {
			t.Errorf("%s: %d %q %q, want %d %q", c.command, got.code, got.stdout, got.stderr, c.code, c.want)
		}
	}
	if got := execute("", "store", "check", "--state", dir); got.code != exitYes {
		t.Errorf("after all that was refused: %d %q %q", got.code, got.stdout, got.stderr)
	}
}

// damagedStore is a store of which the tables are overwritten.
func damagedStore(t *testing.T) string {
	t.Helper()
	path := filepath.Join(stateWithStore(t), storeFile)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	for i := page; i < len(content); i++ {
		content[i] ^= 0xa5
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestStoreCheckOfWhatIsNotSound(t *testing.T) {
	garbage := stateWithStore(t)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(filepath.Join(garbage, storeFile+suffix))
	}
	if err := os.WriteFile(filepath.Join(garbage, storeFile), []byte(strings.Repeat("no store ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for state, want := range map[string]string{filepath.Dir(damagedStore(t)): "", garbage: "the file is no store"} {
		got := execute("", "store", "check", "--state", state)
		if got.code != exitNo || got.stderr != "" || !strings.HasPrefix(got.stdout, want) || !strings.HasSuffix(got.stdout, "not sound: stop the server, and put a backup in its place with imei-verifier store restore --from FILE\n") {
			t.Errorf("%+v, want %q", got, want)
		}
		if got := execute("", "store", "check", "--json", "--state", state); got.code != exitNo || !strings.Contains(got.stdout, `"sound": false`) {
			t.Errorf("%+v", got)
		}
	}
}

// TestTheKeysOfAStoreAreNotMadeAnew: a server that made others would forget every device.
func TestTheKeysOfAStoreAreNotMadeAnew(t *testing.T) {
	dir := stateWithStore(t)
	path := filepath.Join(dir, deviceKeyFile)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	keys, err := openState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openStore(context.Background(), dir, keys.result, sqlite.Retention{}, nil); err == nil || !strings.Contains(err.Error(), "put it back") {
		t.Errorf("without its key: %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a key was made")
	}
	for name, content := range map[string]string{"empty": "", "short": "00", "long": strings.Repeat("0", 66), "no hex": strings.Repeat("z", 64), "three": strings.Repeat(strings.Repeat("0", 64)+"\n", 3)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openStore(context.Background(), dir, keys.result, sqlite.Retention{}, nil); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("0", 64)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openStore(context.Background(), dir, keys.result, sqlite.Retention{}, nil); !errors.Is(err, sqlite.ErrKeys) {
		t.Errorf("another key: %v", err)
	}
}

func TestRotationOfAKey(t *testing.T) {
	dir := stateWithStore(t)
	step := func(want int, args ...string) outcome {
		t.Helper()
		got := execute("", append([]string{"store", "rotate", "--state", dir, "--key", "imei"}, args...)...)
		if got.code != want {
			t.Fatalf("%v: %d %q %q", args, got.code, got.stdout, got.stderr)
		}
		return got
	}
	step(exitYes)
	if got := step(exitUsage); !strings.Contains(got.stderr, "--finish") {
		t.Errorf("twice: %q", got.stderr)
	}
	if got := step(exitUsage, "--finish"); !strings.Contains(got.stderr, "rows are under a former key") {
		t.Errorf("too early: %q", got.stderr)
	}
	s := openTestStore(t, dir)
	commitOne(t, s, 4)
	closed(t, s)
	step(exitYes, "--finish")
	s = openTestStore(t, dir)
	commitOne(t, s, 5)
	closed(t, s)
	if got := execute("", "store", "stats", "--json", "--state", dir); !strings.Contains(got.stdout, `"former_keys": 0`) {
		t.Errorf("stats: %s", got.stdout)
	}
}

func TestAKeptCheckpointShowsThatTheEndWasCutOff(t *testing.T) {
	dir := stateWithStore(t)
	checkpoint := execute("", "audit", "checkpoint", "--state", dir)
	if checkpoint.code != exitYes {
		t.Fatalf("%d %q", checkpoint.code, checkpoint.stderr)
	}
	path := write(t, "kept.cose", []byte(checkpoint.stdout))
	for _, name := range []string{storeFile, storeFile + "-wal", storeFile + "-shm"} { // an empty store instead
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	closed(t, openTestStore(t, dir))
	got := execute("", "audit", "verify", "--json", "--state", dir, "--checkpoint", path)
	var found struct {
		Sound    bool
		BreaksAt uint64 `json:"breaks_at"`
		Problem  string
	}
	if err := json.Unmarshal([]byte(got.stdout), &found); err != nil || got.code != exitNo || found.Sound || found.BreaksAt != 1 {
		t.Errorf("%d %q %q, %v", got.code, got.stdout, got.stderr, err)
	}
	if got := execute("", "audit", "checkpoint", "--state", dir); got.code != exitUndecided || !strings.Contains(got.stderr, "no checkpoint") {
		t.Errorf("an empty store: %d %q", got.code, got.stderr)
	}
}
