package tpmdev

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"golang.org/x/sys/unix"

	"imei-attest/agent/tpmvault/tpmtest"
)

// messages gives the device end of a socket that keeps messages apart, as the driver of a TPM does, and its other
// end.
func messages(t *testing.T) (c *Conn, driver int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		t.Fatal(err)
	}
	c = newConn("tpm:/dev/tpm-under-test", device(fds[0]))
	t.Cleanup(func() { c.Close(); unix.Close(fds[1]) })
	return c, fds[1]
}

// answer plays the driver: it takes one command and gives one message.
func answer(driver int, give func(command []byte) []byte) {
	for buffer := make([]byte, 4096); ; {
		n, err := unix.Read(driver, buffer)
		if err != nil || n == 0 {
			return
		}
		if _, err := unix.Write(driver, give(buffer[:n])); err != nil {
			return
		}
	}
}

func TestDeviceAgainstAnEngine(t *testing.T) {
	engine := tpmtest.New(t)
	swtpm, err := Open(context.Background(), engine.Spec())
	if err != nil {
		t.Fatal(err)
	}
	defer swtpm.Close()
	c, driver := messages(t)
	bridge := swtpm.link
	go answer(driver, func(command []byte) []byte {
		response, _ := bridge.exchange(command, time.Now().Add(CommandTimeout))
		return response
	})
	for range 3 {
		random, err := tpm2.GetRandom{BytesRequested: 32}.Execute(c)
		if err != nil || len(random.RandomBytes.Buffer) != 32 {
			t.Fatalf("GetRandom through the device path: %d bytes, %v", len(random.RandomBytes.Buffer), err)
		}
	}
	if _, err := (tpm2.ReadPublic{ObjectHandle: tpm2.TPMHandle(0x81000001)}).Execute(c); !errors.Is(err, tpm2.TPMRCHandle) {
		t.Errorf("a refusal through the device path: %v; want %v", err, tpm2.TPMRCHandle)
	}
}

func TestDeviceShortRead(t *testing.T) {
	whole := response(tagNoSessions, 14, 0, 1, 2, 3, 4)
	for _, n := range []int{4, 10, 13} {
		c, driver := messages(t)
		go answer(driver, func([]byte) []byte { return whole[:n] })
		if got, err := c.Send(command); !errors.Is(err, ErrBroken) {
			t.Errorf("%d bytes of 14: %x, %v; want %v", n, got, err, ErrBroken)
		}
	}
}

func TestDeviceSilence(t *testing.T) {
	c, _ := messages(t)
	c.timeout = 20 * time.Millisecond
	if _, err := c.Send(command); !errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), "dmesg") {
		t.Errorf("Send: %v; want %v", err, ErrTimeout)
	}
	if _, err := c.Send(command); !errors.Is(err, ErrBroken) {
		t.Errorf("Send after a timeout: %v; want %v", err, ErrBroken)
	}
}

func TestDeviceGone(t *testing.T) {
	c, driver := messages(t)
	unix.Close(driver)
	if _, err := c.Send(command); !errors.Is(err, ErrBroken) {
		t.Errorf("Send: %v; want %v", err, ErrBroken)
	}
}

// A terminal of the test's own stands for the device: a character device that nobody else has open.
func TestProgramsWaitForEachOther(t *testing.T) {
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(master)
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprint("/dev/pts/", number)
	spec := "tpm:" + path
	first, err := openDevice(t.Context(), spec, path)
	if err != nil {
		t.Fatal(err)
	}
	hurried, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if second, err := openDevice(hurried, spec, path); !errors.Is(err, ErrBusy) {
		t.Errorf("while another has it: %v, %v; want %v", second, err, ErrBusy)
	}
	time.AfterFunc(50*time.Millisecond, func() { _ = first.Close() })
	second, err := openDevice(t.Context(), spec, path)
	if err != nil {
		t.Fatalf("after the other has closed it: %v", err)
	}
	_ = second.Close()
}
