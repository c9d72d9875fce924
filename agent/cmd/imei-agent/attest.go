package main

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"imei-attest/agent"
	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/modem"
)

// attestFlags are the flags of the attest command.
type attestFlags struct {
	modem                                             modemFlags
	vault, approvals, verifier, nonce, signalled, out string
	challenge                                         string // of a 401, or -
	compares, answers                                 bool   // --signalled, and --challenge-401, was given
	subscriber                                        bool
	asJSON                                            bool
}

func attestCommand(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) (int, error) {
	var f attestFlags
	flags := newFlags("attest")
	f.modem.add(flags)
	flags.StringVar(&f.vault, "vault", "", "secure storage: tpm:/dev/tpmrm0, tpm:unix:SOCKET or software:DIR")
	flags.StringVar(&f.approvals, "approvals", "", "`folder` of boot approvals; needed with a TPM")
	flags.StringVar(&f.verifier, "verifier", "", "hand the evidence in to the verifier at this `URL`")
	flags.StringVar(&f.nonce, "nonce", "", "sign for this nonce, `hex` of 8 to 64 bytes, and do not hand in")
	flags.StringVar(&f.challenge, "challenge-401", "", "sign an in-band token for the 401 with this nonce `text`, - to read it from standard input, and do not hand in")
	flags.BoolVar(&f.subscriber, "subscriber", false, "name the subscriber of the SIM card to the verifier, in a form from which it can find out the IMSI")
	flags.StringVar(&f.signalled, "signalled", "", "the IMEI `URN` that this device signals to the network")
	flags.StringVar(&f.out, "out", "", "write the token to this `file`")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
	if err := parse(flags, args, stdout); err != nil {
		return 0, err
	}
	// An empty --signalled, as of a variable that is not set, must not drop the comparison that was asked for.
	flags.Visit(func(given *flag.Flag) {
		f.compares = f.compares || given.Name == "signalled"
		f.answers = f.answers || given.Name == "challenge-401"
	})
	err := f.check()
	if err == nil && f.answers {
		f.challenge, err = readChallenge(f.challenge, stdin)
	}
	if err != nil {
		return 0, fail(exitUsage, err)
	}
	return f.run(ctx, stdout)
}

func (f *attestFlags) check() error {
	if err := f.modem.check(); err != nil {
		return err
	}
	switch {
	case f.vault == "":
		return errors.New("--vault is missing: name the secure storage, such as tpm:/dev/tpmrm0")
	case f.asked() != 1:
		return errors.New("give one of --verifier URL, --nonce HEX and --challenge-401 TEXT")
	case f.compares && f.verifier == "":
		return errors.New("--signalled is for the verifier: give --verifier URL too")
	case f.subscriber && f.answers:
		return errors.New("--subscriber is not for --challenge-401: the token goes through SIP, where others would find out the IMSI, and the challenge binds the subscriber")
	case f.subscriber && f.verifier == "":
		return errors.New("--subscriber is for the verifier alone: give --verifier URL too")
	}
	if f.compares {
		if _, err := imei.ParseURN(f.signalled); err != nil {
			return fmt.Errorf("--signalled: %w", err)
		}
	}
	return f.checkOut()
}

// asked is how many say what is signed for.
func (f *attestFlags) asked() (n int) {
	for _, given := range []bool{f.verifier != "", f.nonce != "", f.answers} {
		if given {
			n++
		}
	}
	return n
}

// maxChallenge is the longest nonce text of a 401 that a verifier takes, in bytes.
const maxChallenge = 512

// readChallenge takes the nonce text of a 401 (RFC 3261 section 20.44) as it was given, or from the one line on standard input.
func readChallenge(text string, stdin io.Reader) (string, error) {
	if text == "-" {
		line, err := io.ReadAll(io.LimitReader(stdin, maxChallenge+int64(len("\r\n"))+1))
		if err != nil {
			return "", fmt.Errorf("--challenge-401: reading standard input: %w", err)
		}
		text = strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r")
	}
	isOther := func(c rune) bool { return c <= ' ' || c == '"' || c > '~' }
	switch {
	case text == "":
		return "", errors.New("--challenge-401: there is no text: give the nonce of the 401's WWW-Authenticate")
	case len(text) > maxChallenge:
		return "", fmt.Errorf("--challenge-401: it is longer than %d bytes, and no verifier takes that", maxChallenge)
	case strings.ContainsFunc(text, isOther):
		return "", errors.New("--challenge-401: give what stands between the quotation marks of nonce=\"...\" in the 401's WWW-Authenticate, and nothing else")
	}
	return text, nil
}

// checkOut misses the folder before the nonce is used up, not after.
func (f *attestFlags) checkOut() error {
	if f.out == "" {
		return nil
	}
	folder := filepath.Dir(f.out)
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return fmt.Errorf("--out %s: there is no folder %s: make it first, or name a file in another one", f.out, folder)
	}
	return nil
}

func (f *attestFlags) run(ctx context.Context, stdout io.Writer) (int, error) {
	challenger, err := f.challenger()
	if err != nil {
		return 0, err
	}
	config, err := f.modem.config()
	if err != nil {
		return 0, err
	}
	vault, err := openVault(ctx, f.vault, f.approvals)
	if err != nil {
		return 0, err
	}
	defer vault.Close()
	port, err := f.modem.open(ctx)
	if err != nil {
		return 0, err
	}
	defer port.Close()
	nonce, err := challenger.challenge(ctx)
	if err != nil {
		return 0, fail(exitFailed, err)
	}
	a, err := agent.New(agent.Config{Reader: modem.NewReader(port, config), Vault: vault, Now: time.Now})
	if err != nil {
		return 0, fail(exitFailed, err)
	}
	attestation, err := a.Attest(ctx, agent.Request{Nonce: nonce, Registration: f.compares || f.answers, InBand: f.answers, Subscriber: f.subscriber})
	if err != nil {
		return 0, fail(exitRefused, err)
	}
	if f.out != "" {
		if err := os.WriteFile(f.out, attestation.Token, 0o600); err != nil {
			return 0, fail(exitFailed, fmt.Errorf("writing the token: %w", err))
		}
	}
	v, err := challenger.submit(ctx, attestation.Token)
	if err != nil {
		return 0, fail(exitFailed, err)
	}
	return f.report(stdout, attestation, v)
}

var _ agent.SubscriberReader = (*modem.Reader)(nil)

// challenger is where the nonce comes from and the token goes to.
type challenger interface {
	challenge(context.Context) (attest.Nonce, error)
	submit(ctx context.Context, token []byte) (*verdict, error)
}

// verdict is what a verifier said.
type verdict struct {
	status  attest.Status
	reasons []attest.Reason
	result  string
}

func (f *attestFlags) challenger() (challenger, error) {
	switch {
	case f.verifier != "":
		return newVerifierClient(f.verifier, f.signalled, f.subscriber)
	case f.answers:
		return givenNonce(attest.NonceFrom401(f.challenge)), nil
	}
	nonce, err := hex.DecodeString(f.nonce)
	const shortest, longest = 8, 64 // RFC 9711 section 4.1
	if err != nil || len(nonce) < shortest || len(nonce) > longest {
		return nil, fail(exitUsage, fmt.Errorf("--nonce: want the hex of %d to %d bytes", shortest, longest))
	}
	return givenNonce(nonce), nil
}

// givenNonce signs for whoever gave the nonce; the token goes where its user takes it.
type givenNonce attest.Nonce

func (n givenNonce) challenge(context.Context) (attest.Nonce, error)  { return attest.Nonce(n), nil }
func (n givenNonce) submit(context.Context, []byte) (*verdict, error) { return nil, nil }

func (f *attestFlags) report(stdout io.Writer, a *agent.Attestation, v *verdict) (int, error) {
	var comparison []string // slot by slot
	for _, m := range a.Measurements {
		comparison = append(comparison, m.String())
	}
	o := object{{"comparison", comparison}, {"agreement", a.Reading.Agreement.String()}, {"token_bytes", len(a.Token)}}
	if f.subscriber {
		o = append(o, member{"subscriber", named(a.Reading.Slots)})
	}
	if f.out == "" && v == nil {
		o = append(o, member{"token", hex.EncodeToString(a.Token)})
	}
	code := exitYes // the evidence was made; nobody judged it
	if v != nil {
		o = append(object{{"status", v.status.String()}, {"reasons", v.codes()}}, append(o, member{"result", v.result})...)
		code = exitCode(v.status)
	}
	print := printReport
	if f.asJSON {
		print = writeJSON
	}
	if err := print(stdout, o); err != nil {
		return 0, fail(exitFailed, err)
	}
	return code, nil
}

// named says of each slot whether the token names its subscriber: a SIM card may be locked or missing.
func named(slots []modem.Slot) (all []string) {
	for _, s := range slots {
		if s.IMSI.IsZero() {
			all = append(all, "not-read")
		} else {
			all = append(all, "named")
		}
	}
	return all
}

func (v *verdict) codes() (codes []string) {
	for _, r := range v.reasons {
		codes = append(codes, string(r))
	}
	return codes
}

// printReport shows for people what writeJSON shows for programs, with a sentence for each reason; the signed result
// is for programs only.
func printReport(w io.Writer, o object) error {
	var b strings.Builder
	for _, m := range o {
		switch v := m.value.(type) {
		case []string:
			if m.name != "reasons" {
				fmt.Fprintf(&b, "%-13s %s\n", m.name, strings.Join(v, " "))
				continue
			}
			for _, code := range v {
				fmt.Fprintf(&b, "%-13s %s: %s\n", "reason", code, attest.Reason(code).Info().Sentence)
			}
		default:
			if m.name != "result" {
				fmt.Fprintf(&b, "%-13s %v\n", m.name, v)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
