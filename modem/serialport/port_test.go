//go:build linux

package serialport_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"imei-attest/modem"
	"imei-attest/modem/serialport"
)

// prompt is how late a call may return, [BenchmarkCancel] says how late it does.
const prompt = 5 * time.Millisecond

// inTime repeats a measurement until one of four was prompt, of eight at least: a busy machine delays many calls, a wrong
// program nearly all.
func inTime(t *testing.T, what string, late func() time.Duration) {
	t.Helper()
	const enough, most = 8, 100
	var worst time.Duration
	onTime := 0
	for tries := 1; tries <= most && !t.Failed(); tries++ {
		took := late()
		if worst = max(worst, took); took <= prompt {
			onTime++
		}
		if tries >= enough && 4*onTime >= tries {
			return
		}
	}
	if t.Failed() {
		return // the call itself went wrong
	}
	t.Errorf("%s: %d of at most %d times within %v, %v late at worst", what, onTime, most, prompt, worst)
}

func TestTimeoutsAreExact(t *testing.T) {
	_, port := newLine(t)
	for _, timeout := range []time.Duration{0, time.Millisecond, 37 * time.Millisecond, 104 * time.Millisecond, 250 * time.Millisecond} {
		inTime(t, timeout.String(), func() time.Duration {
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			n, err := port.Read(ctx, make([]byte, 8))
			late := time.Since(start) - timeout
			if n != 0 || !errors.Is(err, modem.ErrTimeout) || late < -time.Millisecond {
				t.Errorf("Read = %d, %v, %v after %v; want ErrTimeout", n, err, late, timeout)
			}
			return late
		})
	}
}

func TestCancelEndsReadAndWrite(t *testing.T) {
	_, port := newLine(t)
	calls := map[string]func(context.Context) error{
		"Read":  func(ctx context.Context) error { _, err := port.Read(ctx, make([]byte, 8)); return err },
		"Write": func(ctx context.Context) error { _, err := port.Write(ctx, make([]byte, 1<<20)); return err },
	}
	for name, call := range calls {
		inTime(t, name, func() time.Duration {
			ctx, cancel := context.WithCancel(t.Context())
			var cancelled time.Time
			time.AfterFunc(20*time.Millisecond, func() { cancelled = time.Now(); cancel() })
			err := call(ctx)
			late := time.Since(cancelled)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
			if err := call(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("%s with a cancelled context: %v", name, err)
			}
			return late
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := port.Read(ctx, make([]byte, 8)); !errors.Is(err, modem.ErrTimeout) {
		t.Errorf("Read after a cancelled one: %v, want ErrTimeout", err) // the waker was lowered
	}
}

func TestHangUpIsToldFromTimeout(t *testing.T) {
	inTime(t, "hang-up", func() time.Duration {
		line, port := newLine(t)
		down := make(chan time.Time, 1)
		time.AfterFunc(20*time.Millisecond, func() { down <- time.Now(); line.Close() })
		for range 3 {
			if n, err := port.Read(t.Context(), make([]byte, 8)); n != 0 || !errors.Is(err, modem.ErrHangup) {
				t.Errorf("Read = %d, %v; want ErrHangup", n, err)
			}
		}
		late := time.Since(<-down)
		if _, err := port.Write(t.Context(), []byte("AT\r")); !errors.Is(err, modem.ErrHangup) {
			t.Errorf("Write: %v, want ErrHangup", err)
		}
		if err := port.Close(); err != nil {
			t.Errorf("Close after a hang-up: %v", err)
		}
		return late
	})
}

func TestAPeerThatTakesNothingBlocksNoWrite(t *testing.T) {
	inTime(t, "Write, and Close with unsent output", func() time.Duration {
		_, port := newLine(t)
		const timeout = 20 * time.Millisecond
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		n, err := port.Write(ctx, make([]byte, 1<<20))
		if !errors.Is(err, modem.ErrTimeout) || n == 0 || n == 1<<20 {
			t.Errorf("Write = %d, %v; want ErrTimeout in the middle", n, err)
		}
		if err := port.Close(); err != nil {
			t.Errorf("Close with unsent output: %v", err)
		}
		return time.Since(start) - timeout
	})
}

// TestANearlyFullLineBlocksNoWrite: a peer that takes a few bytes now and then makes room for less than a chunk, and poll says that there
// is room. The descriptor that writes blocks, so a write that the kernel does not take whole would end only with the line.
func TestANearlyFullLineBlocksNoWrite(t *testing.T) {
	line, port := newLine(t)
	written, taken := 0, 0
	write := func(size int) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		n, err := port.Write(ctx, make([]byte, size))
		if written += n; err != nil && !errors.Is(err, modem.ErrTimeout) {
			t.Fatalf("Write: %v", err)
		}
	}
	take := func(size int) bool {
		if err := line.SetDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := line.Read(make([]byte, size))
		taken += n
		return err == nil
	}
	stuck := time.AfterFunc(10*time.Second, func() { line.Close() }) // a failure instead of a test that hangs
	write(1 << 20)
	for size := range 300 {
		take(1 + size)
		write(1 << 20)
	}
	for take(4096) {
	}
	if !stuck.Stop() {
		t.Error("a write blocked")
	}
	if taken != written {
		t.Errorf("the peer got %d bytes of %d written", taken, written)
	}
}

// TestAThiefHoldsNoReadUp: a program that had the port open before and locks nothing takes bytes that poll has told of.
func TestAThiefHoldsNoReadUp(t *testing.T) {
	line := newPTY(t)
	thief, err := unix.Open(line.Path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	port, err := serialport.Open(t.Context(), line.Path, serialport.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	var over atomic.Bool
	var thieving sync.WaitGroup
	thieving.Go(func() {
		defer unix.Close(thief)
		for b := make([]byte, 8); !over.Load(); {
			_, _ = unix.Read(thief, b)
		}
	})
	stuck := time.AfterFunc(10*time.Second, func() { line.Close() })
	for range 300 {
		if _, err := line.Write([]byte{'x'}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if _, err := port.Read(ctx, make([]byte, 8)); err != nil && !errors.Is(err, modem.ErrTimeout) {
			t.Fatalf("Read: %v", err)
		}
		cancel()
	}
	over.Store(true)
	thieving.Wait()
	if !stuck.Stop() {
		t.Error("a read blocked")
	}
}

// TestAClosedPortTouchesNoFile: the numbers of its descriptors may belong to other files by then.
func TestAClosedPortTouchesNoFile(t *testing.T) {
	_, port := newLine(t)
	port.Close()
	var others [16][2]int
	for i := range others {
		if err := unix.Pipe2(others[i][:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(others[i][0])
		defer unix.Close(others[i][1])
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		_, readErr := port.Read(ctx, make([]byte, 8))
		_, writeErr := port.Write(ctx, make([]byte, 8))
		if !errors.Is(readErr, modem.ErrClosed) || !errors.Is(writeErr, modem.ErrClosed) {
			t.Fatalf("Read: %v, Write: %v", readErr, writeErr)
		}
	}
	for _, pipe := range others {
		if n, err := unix.Read(pipe[0], make([]byte, 8)); !errors.Is(err, unix.EAGAIN) {
			t.Errorf("%d bytes, %v in a pipe opened after Close", n, err)
		}
	}
}

func TestCloseEndsRunningCalls(t *testing.T) {
	inTime(t, "Close", func() time.Duration {
		_, port := newLine(t)
		var calls sync.WaitGroup
		calls.Go(func() {
			if _, err := port.Read(t.Context(), make([]byte, 8)); !errors.Is(err, modem.ErrClosed) {
				t.Errorf("Read during Close: %v", err)
			}
		})
		calls.Go(func() {
			if _, err := port.Write(t.Context(), make([]byte, 1<<20)); !errors.Is(err, modem.ErrClosed) {
				t.Errorf("Write during Close: %v", err)
			}
		})
		time.Sleep(20 * time.Millisecond) // for both to block; too short only makes the test weaker
		start := time.Now()
		for range 3 {
			if err := port.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		calls.Wait()
		late := time.Since(start)
		if _, err := port.Read(t.Context(), make([]byte, 8)); !errors.Is(err, modem.ErrClosed) {
			t.Errorf("Read after Close: %v", err)
		}
		return late
	})
}

func TestEveryByteValuePasses(t *testing.T) {
	line, port := newLine(t)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	if _, err := line.Write(all); err != nil {
		t.Fatal(err)
	}
	if got := readN(t, port, len(all)); !bytes.Equal(got, all) {
		t.Errorf("read %x", got)
	}
	if n, err := port.Write(t.Context(), all); n != len(all) || err != nil {
		t.Fatalf("Write = %d, %v", n, err)
	}
	got := make([]byte, len(all))
	if _, err := io.ReadFull(line, got); err != nil || !bytes.Equal(got, all) {
		t.Errorf("the peer read %x, %v", got, err)
	}
}

func readN(t *testing.T, port *serialport.Port, n int) (all []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	b := make([]byte, 100)
	for len(all) < n {
		got, err := port.Read(ctx, b)
		if err != nil {
			t.Fatalf("after %d bytes: %v", len(all), err)
		}
		all = append(all, b[:got]...)
	}
	return all
}

func TestAFloodArrivesWhole(t *testing.T) {
	const size = 1 << 20
	line, port := newLine(t)
	go func() { _, _ = line.Write(bytes.Repeat([]byte("0123456789abcdef"), size/16)) }()
	if got := readN(t, port, size); len(got) != size || !bytes.Equal(got[size-16:], []byte("0123456789abcdef")) {
		t.Errorf("%d bytes arrived", len(got))
	}
}

func TestWhatIsThereIsReadWithoutWaiting(t *testing.T) {
	line, port := newLine(t)
	if _, err := line.Write([]byte("RDY")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	b := make([]byte, 8)
	if n, err := port.Read(ctx, b); string(b[:n]) != "RDY" || err != nil {
		t.Errorf("Read with a passed deadline = %q, %v", b[:n], err)
	}
}

// TestLeak opens and closes many times and counts what is left over.
func TestLeak(t *testing.T) {
	rounds := 10_000
	if testing.Short() {
		rounds = 300
	}
	line := newPTY(t)
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	for i := range rounds {
		port, err := serialport.Open(t.Context(), line.Path, serialport.Config{})
		if err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Microsecond)
		_, _ = port.Read(ctx, make([]byte, 1))
		cancel()
		port.Close()
		if _, err := serialport.Open(t.Context(), "/dev/null", serialport.Config{}); err == nil {
			t.Fatal("/dev/null was opened")
		}
	}
	for range 100 { // goroutines that are through may still be counted for a moment
		if runtime.NumGoroutine() <= goroutines {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if f, g := openFiles(t), runtime.NumGoroutine(); f != files || g > goroutines {
		t.Errorf("after %d rounds %d files and %d goroutines, before %d and %d", rounds, f, g, files, goroutines)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc here: ", err)
	}
	return len(entries)
}

// TestDataBeforeAHangUpIsDelivered: what the kernel still holds comes first, then the hang-up.
func TestDataBeforeAHangUpIsDelivered(t *testing.T) {
	line, port := newLine(t)
	const sent = "\r\n490154203237518\r\n\r\nOK\r\n"
	if _, err := line.Write([]byte(sent)); err != nil {
		t.Fatal(err)
	}
	line.Close()
	var got []byte
	for {
		b := make([]byte, 8)
		n, err := port.Read(t.Context(), b)
		got = append(got, b[:n]...)
		if errors.Is(err, modem.ErrHangup) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.HasPrefix([]byte(sent), got) {
		t.Errorf("got %q", got)
	}
	t.Logf("the kernel gave %d of %d bytes", len(got), len(sent))
}

// TestUnplugAtEachByteOfAnAnswer: on a terminal, where the kernel throws away what is unread, an answer that did not end is a hang-up.
func TestUnplugAtEachByteOfAnAnswer(t *testing.T) {
	const answer = "AT+CGSN=1\r\r\n+CGSN: \"490154203237518\"\r\n\r\nOK\r"
	for n := range len(answer) + 1 {
		line, port := newLine(t)
		go func() {
			_, _ = line.Read(make([]byte, 64)) // the command
			_, _ = line.Write([]byte(answer[:n]))
			line.Drain(time.Minute)
			line.Close()
		}()
		a, err := modem.NewChannel(port, modem.Config{CommandTimeout: time.Minute}).Ask(t.Context(), "AT+CGSN=1")
		complete := err == nil && a.Word == "" && a.IMEI.Digits() == "490154203237518"
		if unplugged := errors.Is(err, modem.ErrHangup); complete != (n == len(answer)) || !complete && !unplugged {
			t.Errorf("unplugged behind %q: %+v, %v", answer[:n], a, err)
		}
	}
}
