// Command imei-provision is the manufacturer's tool: it makes the manufacturer's keys and puts a signed IMEI into a
// device's secure storage. It never ships on a device. README.md is its manual.
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
	"slices"
	"strings"
	"syscall"
	"time"

	"imei-attest/agent"
	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault"
	"imei-attest/attest/imei"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, exitLate)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// exitLate ends what does not heed an interruption, such as the opening of a pipe. It is no worse than a power cut.
func exitLate() {
	const grace = 3 * time.Second // a vault command is given one
	time.Sleep(grace)
	fmt.Fprintln(os.Stderr, "imei-provision: interrupted")
	os.Exit(exitCannot)
}

// Exit codes of all programs of this project; this one uses five.
const (
	exitYes     = 0
	exitNo      = 1 // the device is not as it must be, some units of a batch failed, or a manifest does not hold
	exitUsage   = 3 // usage or configuration
	exitCannot  = 4 // could not, through no fault of the device
	exitRefused = 5 // the device or its vault refused
)

const usage = `imei-provision makes a manufacturer's keys and puts signed IMEIs into devices.

Usage: imei-provision COMMAND [flags]

The manufacturer:
  imei-provision oem-key [flags] --out DIR     make the manufacturer's keys and its anchor
  imei-provision sign [flags]                  answer a request of the line with a package
  imei-provision approve-boot [flags]          sign a boot state for a whole release
  imei-provision plan [flags]                  compute all Names and digests, without a TPM

The production line, with the keys beside it:
  imei-provision device [flags]                provision one device in one go
  imei-provision batch [flags]                 provision the devices of a list, one after the other
  imei-provision manifest verify FILE [flags]  check the list of a batch's credentials

The production line, with the keys elsewhere, in this order:
  imei-provision request [flags]               derive the device key and ask for a package
  imei-provision install [flags]               define and write the record of a package
  imei-provision lock [flags]                  make the record final
  imei-provision verify [flags]                read the device back and have it sign

A device in the field, whose TPM proves itself; then install, lock and verify:
  imei-provision enroll begin [flags]          on the device: ask
  imei-provision enroll challenge [flags]      the manufacturer: check the TPM, challenge it
  imei-provision enroll answer [flags]         on the device: have the TPM answer
  imei-provision enroll issue [flags]          the manufacturer: check the answer, give a package

The end of a device:
  imei-provision retire [flags]                delete its record; needs the NV key

  imei-provision help COMMAND                  the flags of a command
  imei-provision --version

Exit codes: 0 done, 1 not as it must be or not all, 3 usage or configuration, 4 could not, 5 the device refused.
`

// command is a subcommand: it declares its flags and returns what to do once they are parsed.
type command struct {
	example string
	first   string // the flag that a first argument without one stands for; "" when there is none
	declare func(*flag.FlagSet) func(ctx context.Context, out, progress io.Writer) error
	// ask takes the place of declare for a command that reads an answer.
	ask func(flags *flag.FlagSet, in io.Reader) func(ctx context.Context, out, progress io.Writer) error
}

func (c command) action(flags *flag.FlagSet, in io.Reader) func(ctx context.Context, out, progress io.Writer) error {
	if c.ask != nil {
		return c.ask(flags, in)
	}
	return c.declare(flags)
}

var commands = map[string]command{
	"oem-key":      oemKeyCommand,
	"plan":         planCommand,
	"sign":         signCommand,
	"approve-boot": approveBootCommand,
	"device":       deviceCommand,
	"request":      requestCommand,
	"install":      installCommand,
	"lock":         lockCommand,
	"verify":       verifyCommand,
	"retire":       retireCommand,

	"enroll begin":     enrollBeginCommand,
	"enroll challenge": enrollChallengeCommand,
	"enroll answer":    enrollAnswerCommand,
	"enroll issue":     enrollIssueCommand,

	"batch":           batchCommand,
	"manifest verify": manifestVerifyCommand,
}

// run is main without the process around it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprintln(stderr, "imei-provision: want a command, such as device or batch; see imei-provision help")
		return exitUsage
	}
	if args[0] == "help" && len(args) > 1 { // of one command
		args = append(args[1:], "-h")
	}
	switch {
	case isHelp(args[0]):
		fmt.Fprint(stdout, usage)
		return exitYes
	case args[0] == "-version", args[0] == "--version":
		fmt.Fprintln(stdout, "imei-provision", version())
		return exitYes
	}
	name, rest := args[0], args[1:]
	if isGroup(name) { // a command of two words
		switch {
		case len(rest) == 0:
			fmt.Fprint(stderr, groupUsage(name))
			return exitUsage
		case isHelp(rest[0]):
			fmt.Fprint(stdout, groupUsage(name))
			return exitYes
		}
		name, rest = name+" "+rest[0], rest[1:]
	}
	c, known := commands[name]
	if !known {
		fmt.Fprintf(stderr, "imei-provision: there is no command %q; see imei-provision help\n", imei.RedactAll(name))
		return exitUsage
	}
	if c.first != "" && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		rest = append([]string{"--" + c.first}, rest...)
	}
	return c.run(ctx, name, rest, stdin, stdout, stderr)
}

func isHelp(word string) bool {
	return slices.Contains([]string{"-h", "-help", "--help", "help"}, word)
}

// isGroup reports the first of two words.
func isGroup(word string) bool {
	for name := range commands {
		if strings.HasPrefix(name, word+" ") {
			return true
		}
	}
	return false
}

// groupUsage is what the usage says of a group.
func groupUsage(group string) string {
	text := "Usage: imei-provision " + group + " COMMAND [flags]\n\n"
	for line := range strings.Lines(usage) {
		if strings.HasPrefix(line, "  imei-provision "+group+" ") {
			text += line
		}
	}
	return text + "\n  imei-provision help " + group + " COMMAND  the flags of a command\n"
}

func (c command) run(ctx context.Context, name string, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // mistakes are printed below, where what was typed is redacted
	do := c.action(flags, stdin)
	flags.Usage = func() {} // help goes to stdout, and a mistake needs one line, not a page
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(stdout)
		fmt.Fprintf(stdout, "Usage of imei-provision %s:\n", name)
		flags.PrintDefaults()
		fmt.Fprintf(stdout, "\nExample:\n%s", c.example)
		return exitYes
	case err != nil:
		fmt.Fprintf(stderr, "imei-provision %s: %s; see imei-provision help %s\n", name, imei.RedactAll(err.Error()), name)
		return exitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "imei-provision %s: unexpected argument; all of them are flags, see imei-provision help %s\n", name, name)
		return exitUsage
	}
	if err := do(ctx, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "imei-provision %s: %s\n", name, imei.RedactAll(err.Error()))
		return exitCode(err)
	}
	return exitYes
}

// usageError is a mistake on the command line or in a file that it names.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// noError is an answer of "no" to what was asked; nothing went wrong in asking.
type noError struct{ err error }

func (e noError) Error() string { return e.err.Error() }
func (e noError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func exitCode(err error) int {
	if errors.As(err, new(noError)) {
		return exitNo
	}
	if errors.As(err, new(usageError)) || errors.Is(err, provision.ErrAnchor) || errors.Is(err, provision.ErrUnit) || errors.Is(err, provision.ErrKeyLocked) {
		return exitUsage
	}
	for _, refusal := range []error{
		provision.ErrRefused, agent.ErrKeyMismatch, agent.ErrNotProvisioned,
		tpmvault.ErrBootState, tpmvault.ErrRecordChanged, tpmvault.ErrLockout, tpmvault.ErrAuthClosed,
	} {
		if errors.Is(err, refusal) {
			return exitRefused
		}
	}
	return exitCannot
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown)"
}
