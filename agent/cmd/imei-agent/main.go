// Imei-agent reads the IMEI of the device's modem and attests it. See README.md beside this file.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"imei-attest/attest"
	"imei-attest/attest/imei"
)

// Exit codes of all programs of the project.
const (
	exitYes       = 0 // the device is what it says
	exitNo        = 1 // it is not
	exitUndecided = 2 // a warning, or nothing could be said
	exitUsage     = 3 // wrong flags or configuration
	exitFailed    = 4 // could not judge: the verifier did not answer
	exitRefused   = 5 // the modem or the vault refused
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

const usage = `imei-agent reads the IMEI of this device's modem and attests it.

Usage:
  imei-agent identify --port PATH [--watch [--interval TIME]] [--modem-profiles FILE] [--json]
        Read the modem and say what it answers, or keep reading and say what changes. Signs nothing.
  imei-agent attest --port PATH --vault SPEC [--approvals DIR]
                    (--verifier URL [--signalled URN] [--subscriber] | --nonce HEX | --challenge-401 TEXT)
                    [--modem-profiles FILE] [--out FILE] [--json]
        Read the modem, compare with the manufacturer's value, sign, and hand in or write out.
  imei-agent --version

Run 'imei-agent help COMMAND' for the flags of a command.

Exit codes: 0 yes, 1 no, 2 undecided, 3 usage or configuration, 4 could not judge, 5 modem or vault refused.
`

// failure is an error with the exit code it ends the program with.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func fail(code int, err error) error { return &failure{code, err} }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	code, err := dispatch(ctx, args, stdin, stdout, stderr)
	if err == nil {
		return code
	}
	if errors.Is(err, flag.ErrHelp) {
		return exitYes
	}
	fmt.Fprintf(stderr, "imei-agent: %s\n", imei.RedactAll(err.Error()))
	var f *failure
	if errors.As(err, &f) {
		return f.code
	}
	return exitUsage
}

func dispatch(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if len(args) == 0 {
		return 0, errors.New("no command: want identify or attest; see imei-agent help")
	}
	if args[0] == "help" && len(args) == 2 { // of one command
		args = []string{args[1], "-h"}
	}
	switch args[0] {
	case "identify":
		return identify(ctx, args[1:], stdout, stderr)
	case "attest":
		return attestCommand(ctx, args[1:], stdin, stdout)
	case "--version", "-version", "version":
		fmt.Fprintln(stdout, "imei-agent", versionText())
		return exitYes, nil
	case "-h", "--help", "-help", "help":
		fmt.Fprint(stdout, usage)
		return exitYes, nil
	}
	return 0, fmt.Errorf("there is no command %q: want identify or attest; see imei-agent help", args[0])
}

// versionText is what the Go toolchain knows of the commit that was built.
func versionText() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}

// newFlags returns a flag set that leaves help and errors to parse: the library would print the whole help for a mistake.
func newFlags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	return flags
}

func parse(flags *flag.FlagSet, args []string, stdout io.Writer) error {
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(stdout)
		fmt.Fprintf(stdout, "Usage of imei-agent %s:\n", flags.Name())
		flags.PrintDefaults()
		return err
	case err != nil:
		return fail(exitUsage, fmt.Errorf("%w; see imei-agent help %s", err, flags.Name()))
	case flags.NArg() > 0:
		return fail(exitUsage, fmt.Errorf("unexpected argument %q; see imei-agent help %s", flags.Arg(0), flags.Name()))
	}
	return nil
}

// exitCode maps a verdict to the program's exit code.
func exitCode(s attest.Status) int {
	switch s {
	case attest.StatusAffirming:
		return exitYes
	case attest.StatusContraindicated:
		return exitNo
	}
	return exitUndecided
}
