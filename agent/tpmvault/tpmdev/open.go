package tpmdev

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
)

// Prefix begins every text that names a TPM.
const Prefix = "tpm:"

const unixPrefix = Prefix + "unix:"

// Open opens the TPM that spec names: "tpm:unix:SOCKET" is the socket of a swtpm, "tpm:/dev/tpmrm0" a character
// device of Linux. Prefer the device with "rm" in its name: its resource manager lets several programs share
// the TPM. Programs of this project wait for each other, until ctx ends or for half a minute. The error is one of this package's, with the remedy in its text.
func Open(ctx context.Context, spec string) (*Conn, error) {
	path, isTPM := strings.CutPrefix(spec, Prefix)
	if socket, isSocket := strings.CutPrefix(spec, unixPrefix); isSocket && socket != "" {
		return openSocket(ctx, spec, socket)
	}
	if !isTPM || !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("%q: %w: want tpm:/dev/tpmrm0 or tpm:unix:SOCKET", spec, ErrSpec)
	}
	return openDevice(ctx, spec, path)
}

// openError turns an operating system's error into one that says what to do.
func openError(spec, absent, busy, permission string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.ENODEV):
		return fmt.Errorf("%s: %w: %s (%w)", spec, ErrAbsent, absent, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w: %s (%w)", spec, ErrPermission, permission, err)
	case errors.Is(err, syscall.EBUSY):
		return fmt.Errorf("%s: %w: %s (%w)", spec, ErrBusy, busy, err)
	}
	return fmt.Errorf("%s: opening the TPM: %w", spec, err)
}
