package tpmdev

import (
	"context"
	"time"
)

// Codes with which a TPM asks to send the command again (Part 2 section 6.6.3, warnings).
const (
	rcYielded = 0x908
	rcTesting = 0x90A
	rcRetry   = 0x922
)

// Waiting times between repetitions: short at first, because a TPM that yields is ready within milliseconds.
const (
	firstBackoff = 5 * time.Millisecond
	maxBackoff   = 500 * time.Millisecond
)

func isRetry(response []byte) bool {
	switch responseCode(response) {
	case rcYielded, rcTesting, rcRetry:
		return true
	}
	return false
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
