// Imei-verifier judges the evidence of mobile devices about their IMEI. See README.md beside this file.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"imei-attest/attest"
	"imei-attest/attest/imei"
)

// Exit codes of all programs of the project.
const (
	exitYes       = 0 // the device is what it says
	exitNo        = 1 // it is not
	exitUndecided = 2 // a warning, or nothing could be said
	exitUsage     = 3 // wrong flags or configuration
	exitFailed    = 4 // could not judge
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// failure is an error with the exit code it ends the program with.
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

// run executes a command line. The code of a judgement travels as a failure without an error text.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var f *failure
	switch {
	case err == nil:
		return exitYes
	case errors.As(err, &f) && f.err == nil:
		return f.code
	}
	fmt.Fprintf(stderr, "imei-verifier: %s%s\n", imei.RedactAll(err.Error()), whoMay(err))
	if f != nil {
		return f.code
	}
	return exitUsage
}

// whoMay completes a message about a file or folder that this program may not use: whose it is, and with which mode.
func whoMay(err error) string {
	var of *fs.PathError
	if !errors.As(err, &of) || !errors.Is(of.Err, fs.ErrPermission) {
		return ""
	}
	path := of.Path
	info, failed := os.Stat(path)
	for failed != nil && path != filepath.Dir(path) { // it is a folder on the way that is closed
		path = filepath.Dir(path)
		info, failed = os.Stat(path)
	}
	if failed != nil {
		return ""
	}
	owner, _ := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf(": %s belongs to user %d, group %d, with mode %#o, and this program runs as user %d: let that one use it",
		path, owner.Uid, owner.Gid, info.Mode().Perm(), os.Geteuid())
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "imei-verifier",
		Short: "Judge the evidence of mobile devices about their IMEI",
		Long: `imei-verifier judges evidence that a mobile device's IMEI is the one its maker gave it.

Exit codes: 0 yes, 1 no, 2 undecided, 3 usage or configuration, 4 could not judge.`,
		Version:       versionText(),
		SilenceErrors: true,
		SilenceUsage:  true,
		// Help that nobody asked for must not end with 0, which says yes.
		RunE: func(*cobra.Command, []string) error {
			return fail(exitUsage, errors.New("want a command, such as serve, appraise or policy check; --help tells more"))
		},
	}
	root.SetVersionTemplate("imei-verifier {{.Version}}\n")
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newServe(), newAppraise(), newExplain(), newReplay(), newDecisions(), newPolicy(), newList(), newStore(), newAudit(), newCoRIM(), newConfig(), newKeys(), newBench(), newBenchClients(), newMan(),
		newCompletion())
	root.SetHelpCommand(newHelp())
	root.SetFlagErrorFunc(unknownFlag)
	inOurWords(root)
	return root
}

// versionText is what the Go toolchain knows of the commit that was built.
func versionText() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}

// timeOf is the time in a version between releases (go.dev/ref/mod, "Pseudo-versions").
var timeOf = regexp.MustCompile(`([0-9]{8})([0-9]{6}-[0-9a-f]{12})`)

// programText names the program to people, in messages of which an IMEI is taken out: the time of a version has as many digits as one,
// so its date stands apart.
func programText(version string) string {
	return "imei-verifier " + timeOf.ReplaceAllString(version, "${1}T${2}")
}

// judged ends the program with the code of a status, without a message.
func judged(s attest.Status) error {
	switch s {
	case attest.StatusAffirming:
		return nil
	case attest.StatusContraindicated:
		return fail(exitNo, nil)
	}
	return fail(exitUndecided, nil)
}
