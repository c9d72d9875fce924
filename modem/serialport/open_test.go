//go:build linux

package serialport_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"imei-attest/modem"
	"imei-attest/modem/modemtest"
	"imei-attest/modem/serialport"
)

// newLine returns a terminal pair and its open port.
func newLine(t testing.TB) (*modemtest.PTY, *serialport.Port) {
	t.Helper()
	line := newPTY(t)
	port, err := serialport.Open(t.Context(), line.Path, serialport.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { port.Close() })
	return line, port
}

func newPTY(t testing.TB) *modemtest.PTY {
	t.Helper()
	line, err := modemtest.OpenPTY("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { line.Close() })
	return line
}

func TestPathsThatAreNoPort(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(at("file"), []byte("x"), 0o600))
	must(unix.Mkfifo(at("fifo"), 0o600))
	must(os.Symlink(at("loop2"), at("loop1")))
	must(os.Symlink(at("loop1"), at("loop2")))
	must(os.Symlink(at("nowhere"), at("dangling")))
	tests := []struct {
		path string
		want error
		says string
	}{
		{at("missing"), modem.ErrNoPort, "plugged in"},
		{at("dangling"), modem.ErrNoPort, "plugged in"},
		{at("file/below"), modem.ErrNoPort, "plugged in"},
		{at("loop1"), modem.ErrNoPort, "circle"},
		{dir, modem.ErrNotTTY, "a directory"},
		{at("file"), modem.ErrNotTTY, "a regular file"},
		{at("fifo"), modem.ErrNotTTY, "a FIFO"},
		{"/dev/null", modem.ErrNotTTY, "another kind"},
		{"/dev/zero", modem.ErrNotTTY, "another kind"},
		{"", modem.ErrNoPort, "plugged in"},
	}
	for _, tt := range tests {
		p, err := serialport.Open(t.Context(), tt.path, serialport.Config{})
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) || p != nil {
			t.Errorf("Open(%q) = %v, want %v with %q", tt.path, err, tt.want, tt.says)
		}
	}
}

func TestASecondOpenerIsRefused(t *testing.T) {
	line, port := newLine(t)
	_, err := serialport.Open(t.Context(), line.Path, serialport.Config{})
	if !errors.Is(err, modem.ErrBusy) || !strings.Contains(err.Error(), "ModemManager") {
		t.Errorf("second Open: %v, want ErrBusy with the remedy", err)
	}
	port.Close()
	again, err := serialport.Open(t.Context(), line.Path, serialport.Config{})
	if err != nil {
		t.Fatalf("Open after Close: %v", err)
	}
	again.Close()
}

func TestAPortLockedByAnotherProgramIsBusy(t *testing.T) {
	line := newPTY(t)
	other, err := os.OpenFile(line.Path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := unix.Flock(int(other.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	if _, err := serialport.Open(t.Context(), line.Path, serialport.Config{}); !errors.Is(err, modem.ErrBusy) {
		t.Errorf("Open: %v, want ErrBusy", err)
	}
}

// exclusive reports whether the kernel turns other openers of a terminal away (TIOCEXCL). It asks, because root is
// let in all the same.
func exclusive(t *testing.T, path string) bool {
	t.Helper()
	watch, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		if errors.Is(err, unix.EBUSY) {
			return true
		}
		t.Fatal(err)
	}
	defer watch.Close()
	set, err := unix.IoctlGetInt(int(watch.Fd()), unix.TIOCGEXCL)
	if err != nil {
		t.Fatal(err)
	}
	return set != 0
}

func TestAnOpenPortTurnsProgramsAwayThatDoNotLock(t *testing.T) {
	line, port := newLine(t)
	if !exclusive(t, line.Path) {
		t.Error("a program that does not use flock can open the port too")
	}
	port.Close()
	if exclusive(t, line.Path) {
		t.Error("nobody can open the port after Close")
	}
	if _, err := serialport.Open(t.Context(), line.Path, serialport.Config{Baud: 12345}); err == nil || exclusive(t, line.Path) {
		t.Errorf("nobody can open the port after an Open that failed: %v", err)
	}
}

// What Open cannot be made to meet at will: the node changes between looking, opening and locking.
func TestAPortIsTheDeviceItsPathNamed(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, link string, before *unix.Stat_t, fd *int)
		want   error
	}{
		{"nothing changed", func(*testing.T, string, *unix.Stat_t, *int) {}, nil},
		{"another device was opened", func(t *testing.T, _ string, _ *unix.Stat_t, fd *int) {
			*fd = openTTY(t, newPTY(t).Path)
		}, modem.ErrReplaced},
		{"another device was opened, which another program has", func(t *testing.T, _ string, _ *unix.Stat_t, fd *int) {
			other := newPTY(t)
			if err := unix.Flock(openTTY(t, other.Path), unix.LOCK_EX|unix.LOCK_NB); err != nil {
				t.Fatal(err)
			}
			*fd = openTTY(t, other.Path)
		}, modem.ErrReplaced},
		{"the path names another device now", func(t *testing.T, link string, _ *unix.Stat_t, _ *int) {
			if err := errors.Join(os.Remove(link), os.Symlink(newPTY(t).Path, link)); err != nil {
				t.Fatal(err)
			}
		}, modem.ErrReplaced},
		{"the path names nothing now", func(t *testing.T, link string, _ *unix.Stat_t, _ *int) {
			if err := os.Remove(link); err != nil {
				t.Fatal(err)
			}
		}, modem.ErrNoPort},
		{"another device number", func(_ *testing.T, _ string, before *unix.Stat_t, _ *int) { before.Rdev++ }, modem.ErrReplaced},
		{"another node", func(_ *testing.T, _ string, before *unix.Stat_t, _ *int) { before.Ino++ }, modem.ErrReplaced},
		{"another file system", func(_ *testing.T, _ string, before *unix.Stat_t, _ *int) { before.Dev++ }, modem.ErrReplaced},
	} {
		t.Run(tt.name, func(t *testing.T) {
			line := newPTY(t)
			link := filepath.Join(t.TempDir(), "modem")
			var before unix.Stat_t
			if err := errors.Join(os.Symlink(line.Path, link), unix.Stat(link, &before)); err != nil {
				t.Fatal(err)
			}
			fd := openTTY(t, line.Path)
			tt.change(t, link, &before, &fd)
			own, err := unix.Dup(fd) // a Port closes what it is given
			if err != nil {
				t.Fatal(err)
			}
			port, err := serialport.NewPort(own, link, before, serialport.Config{})
			if err != nil {
				err = errors.Join(err, unix.Close(own))
			} else {
				port.Close()
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// openTTY opens a terminal without setting it up.
func openTTY(t *testing.T, path string) int {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return int(f.Fd())
}

func TestAReplacedNodeIsNoticed(t *testing.T) {
	first, second := newPTY(t), newPTY(t)
	link := filepath.Join(t.TempDir(), "modem")
	stop := make(chan struct{})
	swapped := make(chan struct{})
	go func() {
		defer close(swapped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			target := []string{first.Path, second.Path}[i%2]
			_ = os.Symlink(target, link+".next")
			_ = os.Rename(link+".next", link)
		}
	}()
	defer func() { close(stop); <-swapped }()
	seen, opened := false, false
	for deadline := time.Now().Add(5 * time.Second); !(seen && opened) && time.Now().Before(deadline); {
		p, err := serialport.Open(t.Context(), link, serialport.Config{})
		switch {
		case err == nil:
			opened = true
			p.Close()
		case errors.Is(err, modem.ErrReplaced):
			seen = true
		case !errors.Is(err, modem.ErrNoPort):
			t.Fatalf("Open: %v", err)
		}
	}
	if !seen || !opened {
		t.Errorf("while the link changed all the time, ErrReplaced seen: %v, opened: %v", seen, opened)
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	line := newPTY(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := serialport.Open(ctx, line.Path, serialport.Config{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v, want a cancellation", err)
	}
}

// A driver that hangs in open(2): the caller gets its deadline, a few such calls are all there may be, and what one brings in
// the end is closed.
func TestAStuckOpenEndsWithItsContext(t *testing.T) {
	line := newPTY(t)
	release, opened := make(chan struct{}), make(chan error, serialport.MaxStuckOpens)
	stuck := func(path string) (*serialport.Port, error) {
		<-release
		port, err := serialport.OpenNow(path, serialport.Config{})
		opened <- err
		return port, err
	}
	var late [serialport.MaxStuckOpens]*modemtest.PTY
	for i := range late {
		late[i] = newPTY(t)
	}
	files := openFiles(t)
	for _, line := range late {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if _, err := serialport.OpenWithin(ctx, func() (*serialport.Port, error) { return stuck(line.Path) }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a stuck open gave %v, want the deadline", err)
		}
		cancel()
	}
	if _, err := serialport.Open(t.Context(), line.Path, serialport.Config{}); !errors.Is(err, modem.ErrTimeout) || !strings.Contains(err.Error(), "unplug the modem") {
		t.Errorf("beside %d stuck ones Open gave %v, want ErrTimeout with the remedy", serialport.MaxStuckOpens, err)
	}
	close(release)
	for range late {
		if err := <-opened; err != nil {
			t.Errorf("a late open: %v", err)
		}
	}
	var port *serialport.Port
	for end := time.Now().Add(5 * time.Second); port == nil && time.Now().Before(end); time.Sleep(time.Millisecond) {
		port, _ = serialport.Open(t.Context(), line.Path, serialport.Config{})
	}
	if port == nil {
		t.Fatal("Open is refused when none is stuck any more")
	}
	port.Close()
	for end := time.Now().Add(5 * time.Second); openFiles(t) > files && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if now := openFiles(t); now != files {
		t.Errorf("%d files are open, before %d", now, files)
	}
}

// A pseudo-terminal has no modem lines, and works without.
func TestAPortWithoutModemLinesIsOpened(t *testing.T) {
	line := newPTY(t)
	if lines, err := unix.IoctlGetInt(openTTY(t, line.Path), unix.TIOCMGET); !errors.Is(err, unix.ENOTTY) && !errors.Is(err, unix.EINVAL) {
		t.Skipf("here it has the lines %#x, %v", lines, err)
	}
	port, err := serialport.Open(t.Context(), line.Path, serialport.Config{})
	if err != nil {
		t.Fatal(err)
	}
	port.Close()
}

func TestSpeeds(t *testing.T) {
	line := newPTY(t)
	for _, baud := range []int{0, 9600, 921600} {
		p, err := serialport.Open(t.Context(), line.Path, serialport.Config{Baud: baud})
		if err != nil {
			t.Fatalf("%d bit/s: %v", baud, err)
		}
		p.Close()
	}
	_, err := serialport.Open(t.Context(), line.Path, serialport.Config{Baud: 12345})
	if err == nil || !strings.Contains(err.Error(), "115200") {
		t.Errorf("12345 bit/s: %v, want an error that lists the speeds", err)
	}
	if p, err := serialport.Open(t.Context(), line.Path, serialport.Config{}); err != nil {
		t.Errorf("Open after a failed one: %v", err) // the failed one kept no lock
	} else {
		p.Close()
	}
}

func TestCloseRestoresTheLineSettings(t *testing.T) {
	line := newPTY(t)
	watch, err := os.OpenFile(line.Path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	settings := func() unix.Termios {
		got, err := unix.IoctlGetTermios(int(watch.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		return *got
	}
	odd := settings()
	odd.Lflag |= unix.ICANON
	odd.Cflag |= unix.HUPCL
	odd.Cc[unix.VMIN] = 7
	if err := unix.IoctlSetTermios(int(watch.Fd()), unix.TCSETS, &odd); err != nil {
		t.Fatal(err)
	}
	before := settings()
	port, err := serialport.Open(t.Context(), line.Path, serialport.Config{})
	if err != nil {
		t.Fatal(err)
	}
	now := settings()
	if now == before || now.Lflag != 0 || now.Cc[unix.VMIN] != 0 {
		t.Errorf("the open line has the settings %+v", now)
	}
	if now.Cflag&unix.HUPCL == 0 {
		t.Error("the open line has lost HUPCL, which is the owner's")
	}
	port.Close()
	if after := settings(); after != before {
		t.Errorf("settings after Close %+v, want %+v", after, before)
	}
}

func TestInfoNamesTheDevice(t *testing.T) {
	line, port := newLine(t)
	var st unix.Stat_t
	if err := unix.Stat(line.Path, &st); err != nil {
		t.Fatal(err)
	}
	want := modem.PortInfo{Path: line.Path, Major: unix.Major(uint64(st.Rdev)), Minor: unix.Minor(uint64(st.Rdev)), Inode: st.Ino}
	if got := port.Info(); got != want {
		t.Errorf("Info() = %+v, want %+v", got, want)
	}
}
