package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"imei-attest/attest/imei"
	"imei-attest/modem/modemtest"
	"imei-attest/modem/serialport"
)

type record struct{ port, link, out string }

func newRecord() *cobra.Command {
	var r record
	c := &cobra.Command{
		Use:   "record --port PATH --link PATH --out FILE",
		Short: "Record what programs and a modem say, with other serial digits",
		Long: `Stand between programs and the modem at a serial port until interrupted: programs open the link, and each line passes
to the port. What was said is then written to a file as JSON lines in which the serial digits of every identity are
replaced by made-up ones. A command line that could write an identity is answered with ERROR and does not reach the modem.`,
		Example: "  imei-lab record --port /dev/ttyUSB2 --link /tmp/modem --out modem.jsonl",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return r.run(c.Context(), c.ErrOrStderr()) },
	}
	c.Flags().StringVar(&r.port, "port", "", "serial `path` of the modem")
	c.Flags().StringVar(&r.link, "link", "", "`path` of the symbolic link to make for programs")
	c.Flags().StringVar(&r.out, "out", "", "`file` to write; it must not exist")
	for _, required := range []string{"port", "link", "out"} {
		if err := c.MarkFlagRequired(required); err != nil {
			panic(err) // a misspelt name in the line above
		}
	}
	return c
}

func (r *record) run(ctx context.Context, stderr io.Writer) (err error) {
	port, err := openBehind(ctx, r.port, r.link)
	if err != nil {
		return fail(exitUsage, err)
	}
	defer port.Close()
	// Before anything is said, so that no recording is lost for want of a place.
	out, err := os.OpenFile(r.out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fail(exitUsage, fmt.Errorf("--out: %w", err))
	}
	defer func() {
		if closed := out.Close(); err == nil && closed != nil {
			err = fail(exitError, fmt.Errorf("--out: %w", closed))
		}
	}()
	line, err := modemtest.OpenPTY(r.link)
	if err != nil {
		return fail(exitUsage, errors.Join(err, os.Remove(r.out)))
	}
	fmt.Fprintf(stderr, "the modem at %s answers at %s and is recorded; interrupt to end\n", imei.RedactAll(r.port), imei.RedactAll(r.link))
	recording := modemtest.NewRecording()
	relayed := modemtest.Relay(ctx, line, port, recording)
	if err := recording.Export(out, modemtest.NewRedactor(nil)); err != nil {
		return fail(exitError, err)
	}
	if dropped := recording.Dropped(); dropped > 0 {
		fmt.Fprintf(stderr, "the recording was full: %d bytes are missing\n", dropped)
	}
	fmt.Fprintf(stderr, "%d pieces are in %s, serial digits replaced; read it before you show it to anybody\n", recording.Len(), imei.RedactAll(r.out))
	if relayed != nil {
		return fail(exitError, relayed)
	}
	return nil
}

// openBehind opens the port that programs will reach through the link.
func openBehind(ctx context.Context, port, link string) (*serialport.Port, error) {
	if filepath.Clean(port) == filepath.Clean(link) {
		return nil, errors.New("--port and --link are the same: the link would take the port's place; give it a name of its own")
	}
	return serialport.Open(ctx, port, serialport.Config{})
}
