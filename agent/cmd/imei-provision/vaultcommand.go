package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"imei-attest/agent/provision"
)

// Variables in the environment of a vault command. Other users of the machine cannot see them, and no IMEI is in them
// whole.
const (
	variableUnit  = "IMEI_ATTEST_UNIT"  // row in the list, 1 for the first
	variableIMEI  = "IMEI_ATTEST_IMEI"  // of slot 1: TAC and last two digits
	variableModel = "IMEI_ATTEST_MODEL" // hardware model
)

// vaultCommand makes the next vault ready and prints its name: it asks a jig or a person, or starts an emulator.
type vaultCommand struct {
	script  string
	timeout time.Duration
	stderr  io.Writer
}

func (c vaultCommand) run(ctx context.Context, u provision.LineUnit) (spec string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	command := exec.CommandContext(ctx, "sh", "-c", c.script)
	var out limitedBuffer
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, &out, c.stderr // it may ask a person
	command.Env = append(os.Environ(), variableUnit+"="+strconv.Itoa(u.Row), variableIMEI+"="+u.Slots[0].String(), variableModel+"="+u.Model)
	// Only the foreground's process group may read from a terminal, and Ctrl-C there reaches all of it.
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) } // with its children
	}
	command.WaitDelay = time.Second
	err = command.Run()
	switch {
	case ctx.Err() == context.DeadlineExceeded:
		return "", fmt.Errorf("--vault-command gave no vault within %s (--vault-timeout)", c.timeout)
	case errors.Is(err, exec.ErrWaitDelay): // what it left running keeps standard output open
	case err != nil:
		return "", fmt.Errorf("--vault-command: %w", err)
	}
	return out.spec()
}

// limitedBuffer keeps one line.
type limitedBuffer struct{ bytes.Buffer }

const maxSpec = 4 << 10 // a path, PATH_MAX

// Write refuses what is too long for a SPEC.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxSpec {
		return 0, errors.New("too much output")
	}
	return b.Buffer.Write(p)
}

func (b *limitedBuffer) spec() (string, error) {
	spec := strings.TrimSpace(b.String())
	if spec == "" || strings.ContainsAny(spec, "\n\r\x00") {
		return "", fmt.Errorf("--vault-command must print one line, the SPEC of the vault, and printed %d bytes in %d lines",
			b.Len(), len(strings.Fields(strings.ReplaceAll(spec, " ", "_"))))
	}
	return spec, nil
}
