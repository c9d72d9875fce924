package registrar

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"imei-attest/attest/imei"
)

const (
	// startPatience is how long Kamailio may take until it answers, on a busy machine.
	startPatience = 20 * time.Second
	stopPatience  = 5 * time.Second
	// readyPatience is how long one waits for an answer before one asks again.
	readyPatience = 200 * time.Millisecond
)

// Kamailio is one that runs.
type Kamailio struct {
	Addr string // host:port, for UDP and TCP

	hss     *HSS // of an S-CSCF
	process *exec.Cmd
	said    tail
	ended   chan struct{}
	end     error // when ended is closed
}

// start starts Kamailio on a free port: another one where somebody took that meanwhile.
func (f *facts) start(ctx context.Context, name, config string) (k *Kamailio, err error) {
	const tries = 3
	for range tries {
		if f.Port, err = freePort(ctx); err != nil {
			return nil, err
		}
		if k, err = f.startOnce(ctx, name, config); !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return k, err
}

func (f *facts) startOnce(ctx context.Context, name, config string) (*Kamailio, error) {
	const program = "/usr/sbin/kamailio"
	if _, err := exec.LookPath(program); err != nil {
		return nil, noKamailio()
	}
	if err := f.write(name, config); err != nil {
		return nil, fmt.Errorf("writing Kamailio's configuration: %w", err)
	}
	k := &Kamailio{Addr: "127.0.0.1:" + f.Port, ended: make(chan struct{})}
	const inForeground, toStderr, sharedMB, privateMB = "-DD", "-E", "128", "16"
	k.process = exec.Command(program, "-f", filepath.Join(f.Dir, name), inForeground, toStderr, "-m", sharedMB, "-M", privateMB, "-w", f.Dir, "-Y", f.Dir)
	k.process.Stderr = &k.said
	// Its workers end with it, and it with whoever started it.
	k.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := k.process.Start(); err != nil {
		return nil, fmt.Errorf("starting Kamailio: %w", err)
	}
	go func() { k.end = k.process.Wait(); close(k.ended) }()
	if err := k.awaitAnswer(ctx); err != nil {
		return nil, errors.Join(err, k.Stop())
	}
	return k, nil
}

// awaitAnswer waits until Kamailio answers.
func (k *Kamailio) awaitAnswer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		err := k.ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-k.ended:
			if strings.Contains(k.said.String(), "Address already in use") {
				return fmt.Errorf("Kamailio's port %s is taken: %w", k.Addr, syscall.EADDRINUSE)
			}
			return fmt.Errorf("Kamailio ended at its start: %w. It said:\n%s", k.end, k.Log())
		default:
		}
		if ctx.Err() != nil {
			return fmt.Errorf("Kamailio does not answer at %s: %w. It said:\n%s", k.Addr, err, k.Log())
		}
		pause(ctx, lookAgain)
	}
}

// ask sends what every configuration here answers, whatever it says: that something takes a connection does not mean that it is Kamailio.
func (k *Kamailio) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	l, err := dial(ctx, "tcp", k.Addr)
	if err != nil {
		return err
	}
	defer l.Close()
	_, err = l.exchange(ctx, fmt.Appendf(nil, "OPTIONS sip:%s SIP/2.0\r\nVia: SIP/2.0/TCP %s;branch=z9hG4bKready\r\nMax-Forwards: 70\r\n"+
		"From: <sip:%[1]s>;tag=ready\r\nTo: <sip:%[1]s>\r\nCall-ID: ready\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n", Realm, l.local))
	return err
}

// lookAgain is how often one looks whether something has come about.
const lookAgain = 20 * time.Millisecond

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// Log is the end of what Kamailio said, without identities.
func (k *Kamailio) Log() string { return imei.RedactAll(k.said.String()) }

// Stop ends Kamailio and its workers, and the HSS of an S-CSCF.
func (k *Kamailio) Stop() error {
	err := k.stop()
	if k.hss != nil {
		err = errors.Join(err, k.hss.Close())
	}
	return err
}

func (k *Kamailio) stop() error {
	group := -k.process.Process.Pid
	if err := syscall.Kill(group, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stopping Kamailio: %w", err)
	}
	select {
	case <-k.ended:
		return nil
	case <-time.After(stopPatience):
		return errors.Join(fmt.Errorf("Kamailio did not end within %v and was killed", stopPatience), syscall.Kill(group, syscall.SIGKILL))
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	mutex sync.Mutex
	text  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	const most = 64 << 10
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-most):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return string(t.text)
}
