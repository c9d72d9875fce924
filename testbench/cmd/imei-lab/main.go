// Imei-lab emulates modems, checks readers against recorded answers, and shows the whole path on one machine. See
// README.md beside this file. It is a laboratory's program: nothing of it belongs on a device or in a network.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"imei-attest/attest/imei"
)

// Exit codes of the laboratory's program.
const (
	exitPass  = 0
	exitFail  = 1 // something is not as it must be
	exitUsage = 3 // wrong flags or configuration
	exitError = 4 // the laboratory itself failed
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// failure is an error with the exit code it ends the program with; without an error it ends silently, because what
// failed has been printed.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string {
	if f.err == nil {
		return fmt.Sprintf("exit code %d", f.code)
	}
	return f.err.Error()
}
func (f *failure) Unwrap() error { return f.err }

func fail(code int, err error) error { return &failure{code, err} }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitPass
	}
	f := &failure{exitUsage, nil}
	if !errors.As(err, &f) {
		f.err = wrongUse(command.CommandPath(), err)
	}
	if f.err != nil {
		fmt.Fprintf(stderr, "imei-lab: %s\n", imei.RedactAll(f.err.Error()))
	}
	return f.code
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "imei-lab",
		Short: "Emulate modems, check readers, and show the whole path on one machine",
		Long: `imei-lab is the laboratory's program: it emulates modems, checks the reader against recorded answers, and
shows the whole path from modem to verdict on one machine.

Exit codes: 0 pass, 1 fail, 3 usage or configuration (a port that is missing or busy, too), 4 the laboratory itself failed.`,
		Version: versionText(),
		// Help that nobody asked for must not end with 0, which says pass.
		RunE: func(*cobra.Command, []string) error {
			return fail(exitUsage, errors.New("want a command: demo, registration, emulate, record, intercept or corpus; --help tells more"))
		},
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("imei-lab {{.Version}}\n")
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newDemo(), newRegistration(), newEmulate(), newRecord(), newIntercept(), newCorpus())
	for _, c := range append(root.Commands(), root) {
		c.DisableFlagsInUseLine = true // the usage lines name the flags themselves
	}
	return root
}

// versionText is what the Go toolchain knows of the commit that was built.
func versionText() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
