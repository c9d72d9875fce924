package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"imei-attest/attest/imei"
	"imei-attest/modem/modemtest"
)

// randomLines is how many command lines random faults are for: some fifty readings. Then the modem behaves.
const randomLines = 1000

type emulate struct {
	link, imei, imei2, profile, replay string
	given, given2                      bool // --imei and --imei2 were given, and may be empty: a slot that holds none
	policy, pin                        string
	pinned                             bool // --pin was given
	noSIM                              bool
	seed                               uint64
	seeded                             bool // --fault-seed was given
	faults                             []string
}

func newEmulate() *cobra.Command {
	var e emulate
	c := &cobra.Command{
		Use:   "emulate --link PATH [--imei TEXT] [--imei2 TEXT] [--profile NAME] [--policy NAME] [--pin DIGITS | --no-sim] [--fault NAME]... [--fault-seed N] | --link PATH --replay FILE",
		Short: "Emulate a modem on a terminal until interrupted",
		Long: `Emulate a modem on a terminal and publish it as a symbolic link that programs open as a serial port.
The IMEI may be any text: answering nonsense is what an emulator is for.

Profiles: ` + strings.Join(modemtest.Profiles(), ", ") + `

Policies towards a command that writes the IMEI (what comes of each is in testbench/README.md): ` + policyNames() + `

Faults (what each does, and what a reader makes of it, is in modem/README.md): ` + faultNames(),
		Example: "  imei-lab emulate --link /tmp/modem --imei 490154203237518",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			given := c.Flags().Changed
			e.given, e.given2, e.pinned, e.seeded = given("imei"), given("imei2"), given("pin"), given("fault-seed")
			return e.run(c.Context(), c.ErrOrStderr())
		},
	}
	c.Flags().StringVar(&e.link, "link", "", "`path` of the symbolic link to make")
	c.Flags().StringVar(&e.imei, "imei", "", "what the modem answers, usually 15 `digits` (default: the profile's)")
	c.Flags().StringVar(&e.imei2, "imei2", "", "the same `digits` of the second slot, in profiles that have one: "+strings.Join(modemtest.TwoSlotProfiles(), ", "))
	c.Flags().StringVar(&e.profile, "profile", "generic", "whose way of answering to take, by `name`")
	c.Flags().StringArrayVar(&e.faults, "fault", nil, "misbehave so, by `name`; may be repeated, and of several that a command meets the first counts")
	c.Flags().StringVar(&e.policy, "policy", "", "what to make of a command that writes the IMEI, by `name` (default: locked)")
	c.Flags().StringVar(&e.pin, "pin", "", "4 to 8 `digits` that the SIM card wants before its IMSI is read; three wrong tries, and it wants its PUK 12345678 (default: it wants none)")
	c.Flags().BoolVar(&e.noSIM, "no-sim", false, "leave the SIM card out")
	c.Flags().Uint64Var(&e.seed, "fault-seed", 0, "misbehave at random; the same `number` makes the same faults")
	c.Flags().StringVar(&e.replay, "replay", "", "answer as the modem in this recording did, a `file` of imei-lab record")
	for _, other := range []string{"imei", "imei2", "profile", "policy", "pin", "no-sim", "fault", "fault-seed"} {
		c.MarkFlagsMutuallyExclusive("replay", other)
	}
	c.MarkFlagsMutuallyExclusive("pin", "no-sim")
	if err := c.MarkFlagRequired("link"); err != nil {
		panic(err) // a misspelt name in the line above
	}
	return c
}

func policyNames() string {
	var names []string
	for _, p := range modemtest.NamedPolicies() {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

func faultNames() string {
	var names []string
	for _, f := range modemtest.NamedFaults() {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

func (e *emulate) run(ctx context.Context, stderr io.Writer) error {
	modem, returns, err := e.modem()
	if err != nil {
		return fail(exitUsage, err)
	}
	kind := "modem of profile " + e.profile
	if e.replay != "" {
		kind = "recorded modem"
	}
	for again := true; again; again = returns && ctx.Err() == nil {
		pty, err := modemtest.OpenPTY(e.link)
		if err != nil {
			return fail(exitUsage, err)
		}
		fmt.Fprintf(stderr, "a %s answers at %s; interrupt to end\n", kind, imei.RedactAll(e.link))
		if err := modem.ServePTY(ctx, pty); err != nil && !errors.Is(err, context.Canceled) {
			return fail(exitError, err)
		}
	}
	return nil
}

// modem makes what the flags say. returns: after a hang-up it comes back.
func (e *emulate) modem() (modem *modemtest.Emulator, returns bool, err error) {
	if e.replay != "" {
		modem, err = replay(e.replay)
		return modem, false, err
	}
	if e.pinned && e.pin == "" {
		return nil, false, errors.New("--pin is empty: give 4 to 8 digits, or leave the flag out for a SIM card that wants no PIN")
	}
	config := modemtest.Config{Profile: e.profile, Policy: e.policy, PIN: e.pin, NoSIM: e.noSIM}
	for _, name := range e.faults {
		f, err := modemtest.FaultNamed(name)
		if err != nil {
			return nil, false, err
		}
		config.Faults = append(config.Faults, f.Faults...)
		returns = returns || f.Returns
	}
	if e.seeded {
		config.Faults = append(config.Faults, modemtest.RandomFaults(e.seed, randomLines)...)
		returns = true
	}
	if modem, err = modemtest.New(config); err != nil {
		return nil, false, err
	}
	if e.given {
		modem.SetIMEI(e.imei)
	}
	if e.given2 {
		err = modem.SetIMEI2(e.imei2)
	}
	return modem, returns, err
}

func replay(file string) (*modemtest.Emulator, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := modemtest.ReadTranscript(f)
	if err != nil {
		return nil, fmt.Errorf("reading the recording %s: %w; want a file that imei-lab record wrote", file, err)
	}
	return modemtest.NewReplay(entries)
}
