package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
	"imei-attest/verifier/store"
	"imei-attest/verifier/trust"
)

// offline is the appraise command: one token, judged with what the caller knows.
type offline struct {
	trust, evidence, nonce, signalled string
	compares                          bool // --signalled was given
	asJSON                            bool
}

func newAppraise() *cobra.Command {
	var o offline
	c := &cobra.Command{
		Use:   "appraise --trust DIR --evidence FILE --nonce HEX",
		Short: "Judge one token from a file",
		Long: `Judge one token, as imei-agent attest --out wrote it, against the nonce it was asked for.
Nothing is remembered: whoever chose the nonce answers for its being new.`,
		Example: "  imei-verifier appraise --trust trust/ --evidence token.cose --nonce 000102030405060708090a0b0c0d0e0f",
		Args:    none,
		RunE: func(c *cobra.Command, _ []string) error {
			o.compares = c.Flags().Changed("signalled")
			return o.run(c.Context(), c.InOrStdin(), c.OutOrStdout())
		},
	}
	c.Flags().StringVar(&o.trust, "trust", "", "`folder` of manufacturers' anchors, one YAML file each")
	c.Flags().StringVar(&o.evidence, "evidence", "", "`file` with the token; - reads standard input")
	c.Flags().StringVar(&o.nonce, "nonce", "", "the nonce that the token must answer, in `hex`")
	c.Flags().StringVar(&o.signalled, "signalled", "", "the IMEI `URN` that the network was shown")
	c.Flags().BoolVar(&o.asJSON, "json", false, "print JSON")
	required(c, "trust", "evidence", "nonce")
	return c
}

func (o *offline) run(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	nonce, err := hex.DecodeString(o.nonce)
	const shortest, longest = 8, 64 // RFC 9711 section 4.1
	if err != nil || len(nonce) < shortest || len(nonce) > longest {
		return fail(exitUsage, fmt.Errorf("--nonce: want the hex of the %d to %d bytes given to the device", shortest, longest))
	}
	if o.compares {
		if _, err := imei.ParseURN(o.signalled); err != nil {
			return fail(exitUsage, fmt.Errorf("--signalled: %w", err))
		}
	}
	anchors, _, err := trust.Load(o.trust)
	if err != nil {
		return fail(exitUsage, err)
	}
	token, err := readEvidence(o.evidence, stdin)
	if err != nil {
		return fail(exitUsage, fmt.Errorf("--evidence: %w", err))
	}
	v, err := newOfflineVerifier(anchors)
	if err != nil {
		return fail(exitFailed, err)
	}
	in := verifier.Input{Evidence: token, Nonce: verifier.Expectation{Exact: nonce}, Now: time.Now()}
	if o.compares {
		in.Registration = &verifier.Registration{InstanceID: o.signalled, Front: verifier.FrontHTTP}
	}
	result, err := v.Appraise(ctx, in)
	if err != nil {
		return fail(exitFailed, err)
	}
	if err := o.print(stdout, &result.Result); err != nil {
		return fail(exitFailed, err)
	}
	return judged(result.Status())
}

// newOfflineVerifier keeps nothing: its store and nonce keys end with the process.
func newOfflineVerifier(anchors *verifier.Trust) (*verifier.Verifier, error) {
	key := make([]byte, nonceKeyBytes)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	nonces, err := attest.NewNonceKeys(0, key, nil)
	if err != nil {
		return nil, err
	}
	return verifier.New(verifier.Config{Store: store.NewMemory(), Nonces: nonces, Trust: anchors})
}

// readEvidence reads little more than a token may have, so that a wrong file is noticed and not loaded.
func readEvidence(path string, stdin io.Reader) ([]byte, error) {
	from := stdin
	if path != "-" {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: name the file of the token, as imei-agent attest --out writes it", err)
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	token, err := io.ReadAll(io.LimitReader(from, attest.MaxTokenBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(token) > 0 && isHex(token): // bad evidence is judged, but this is good evidence written otherwise
		return nil, errors.New("the token is written in hex: give its bytes, as imei-agent attest --out writes them, or turn it back with xxd -r -p")
	}
	return token, nil
}

func isHex(text []byte) bool {
	_, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	return err == nil
}

// verdict is the JSON form of a Result.
type verdict struct {
	Status  string    `json:"status"`
	Tier    string    `json:"tier"`
	Submods []submod  `json:"submods"`
	Reasons []finding `json:"reasons"`
}

type submod struct {
	Name    string          `json:"name"`
	Status  string          `json:"status"`
	Vector  map[string]int  `json:"trustworthiness_vector"`
	Reasons []attest.Reason `json:"reasons"`
}

type finding struct {
	Code   attest.Reason `json:"code"`
	Text   string        `json:"text"`
	Clause string        `json:"clause"`
}

func newVerdict(r *attest.Result) verdict {
	v := verdict{Status: r.Status().String(), Tier: r.Tier.String(), Submods: []submod{}, Reasons: []finding{}}
	for _, s := range r.Submods {
		entries := make(map[string]int)
		for i, value := range s.Vector {
			if value != attest.ClaimNone {
				entries[attest.Entry(i).String()] = int(value)
			}
		}
		v.Submods = append(v.Submods, submod{s.Name, s.Status.String(), entries, append([]attest.Reason{}, s.Reasons...)})
	}
	for _, code := range r.Reasons() {
		v.Reasons = append(v.Reasons, finding{code, code.Info().Sentence, code.Info().Clause})
	}
	return v
}

func (o *offline) print(w io.Writer, r *attest.Result) error {
	v := newVerdict(r)
	if o.asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(v)
	}
	fmt.Fprintf(w, "%-13s %s\n", "status", v.Status)
	for _, s := range v.Submods {
		fmt.Fprintf(w, "%-13s %s\n", s.Name, s.Status)
	}
	for _, f := range v.Reasons {
		fmt.Fprintf(w, "%-13s %s: %s (%s)\n", "reason", f.Code, f.Text, f.Clause)
	}
	return nil
}
