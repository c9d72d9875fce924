//go:build !linux

package tpmdev

import (
	"context"
	"fmt"
)

func openDevice(_ context.Context, spec, _ string) (*Conn, error) {
	return nil, fmt.Errorf("%s: %w: character devices are opened on Linux only", spec, ErrAbsent)
}

func openSocket(_ context.Context, spec, _ string) (*Conn, error) {
	return nil, fmt.Errorf("%s: %w: sockets are opened on Linux only", spec, ErrAbsent)
}
