package programs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"imei-attest/modem/modemtest"
)

// What modem/README.md says that imei-agent makes of each fault of imei-lab is what the two programs show.
func TestTableOfFaultsIsWhatTheProgramsDo(t *testing.T) {
	needPrograms(t)
	rows := regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\| [^|]* \\| ([^|]*) \\| ([^|]*) \\| ([^|]*) \\| [^|]* \\| (\\d) \\|$")
	_, section, _ := strings.Cut(read(t, "modem/README.md"), "\n## Faults\n")
	section, _, _ = strings.Cut(section, "\n## ")
	found := rows.FindAllStringSubmatch(section, -1)
	if len(found) != len(modemtest.NamedFaults()) {
		t.Fatalf("%d rows, want %d", len(found), len(modemtest.NamedFaults()))
	}
	var all sync.WaitGroup // a reading waits for most of its time
	for _, f := range found {
		all.Go(func() {
			got, want := identifyWithFault(t, f[1]), fmt.Sprintf("%s, %s, %s, exit status %s", f[2], strings.Trim(f[3], "`"), f[4], f[5])
			if got != want {
				t.Errorf("%s: the programs show %q, the page says %q", f[1], got, want)
			}
		})
	}
	all.Wait()
}

// So is what it says of the profiles.
func TestTableOfProfilesIsWhatTheProgramsDo(t *testing.T) {
	needPrograms(t)
	found := regexp.MustCompile("(?m)^\\| `([a-z0-9]+)` \\| .* \\| (?:yes|no) \\| (\\w+) \\| (\\w+) \\| (\\d) \\|$").FindAllStringSubmatch(read(t, "modem/README.md"), -1)
	if len(found) != len(modemtest.Profiles()) {
		t.Fatalf("%d rows, want %d", len(found), len(modemtest.Profiles()))
	}
	for _, f := range found {
		got, want := identifyEmulated(t, 1, "--profile", f[1], "--imei", documentIMEI)[0], fmt.Sprintf("%s, -, %s, exit status %s", f[2], f[3], f[4])
		if got != want {
			t.Errorf("%s: the programs show %q, the page says %q", f[1], got, want)
		}
	}
}

// identifyWithFault words what the two programs show as the table does.
func identifyWithFault(t *testing.T, name string) string {
	fault, err := modemtest.FaultNamed(name)
	if err != nil {
		return err.Error()
	}
	if !fault.Later {
		return identifyEmulated(t, 1, "--fault", name)[0]
	}
	const good = "right, -, full, exit status 0"
	both := identifyEmulated(t, 2, "--fault", name)
	if both[0] != good {
		return "at the first reading " + both[0]
	}
	return both[1]
}

// identifyEmulated runs the laboratory's modem with these flags, and the agent as many times.
func identifyEmulated(t *testing.T, times int, flags ...string) []string {
	shown := make([]string, times)
	link := filepath.Join(t.TempDir(), "modem")
	lab := exec.Command(filepath.Join(bin, "imei-lab"), append([]string{"emulate", "--link", link}, flags...)...)
	if err := lab.Start(); err != nil {
		shown[0] = err.Error()
		return shown
	}
	defer func() { _ = lab.Process.Signal(os.Interrupt); _ = lab.Wait() }()
	for end := time.Now().Add(documentPatience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if _, err := os.Lstat(link); err == nil {
			break
		}
	}
	for i := range shown {
		shown[i] = identifyOnce(link)
	}
	return shown
}

func identifyOnce(port string) string {
	var stdout, stderr bytes.Buffer
	c := exec.Command(filepath.Join(bin, "imei-agent"), "identify", "--port", port)
	c.Stdout, c.Stderr = &stdout, &stderr
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(c.Run(), &exit) {
		code = exit.ExitCode()
	}
	shown := func(name string) string {
		match := regexp.MustCompile("(?m)^" + name + " +(.*)$").FindStringSubmatch(stdout.String())
		if match == nil {
			return "-"
		}
		return match[1]
	}
	told := map[string]string{"-": "none", documentIMEI: "right"}[shown("IMEI")]
	if told == "" {
		told = "another"
	}
	if code == 5 && strings.Contains(stderr.String(), "hung up") {
		return "-, port hung up, -, exit status 5"
	}
	return fmt.Sprintf("%s, %s, %s, exit status %d", told, shown("error"), shown("agreement"), code)
}
