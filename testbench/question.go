package testbench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"imei-attest/attest"
	"imei-attest/testbench/registrar"
	"imei-attest/verifier"
	"imei-attest/verifier/ear"
)

// Verdict is what the World's verifier said.
type Verdict struct {
	Status  attest.Status
	Reasons []attest.Reason
	SIPCode int
	Result  string // EAR, a JWT, whose signature was checked
}

// Nonce asks the verifier for a challenge.
func (w *World) Nonce(ctx context.Context) (attest.Nonce, error) {
	session, err := w.Transport.NewSession(ctx)
	if err != nil {
		return nil, err
	}
	return session.Nonce, nil
}

// Ask is what a registrar does: it presents a registration, and the evidence that came with it or nil, to the
// verifier's one-shot interface, and checks the signature of the result.
func (w *World) Ask(ctx context.Context, token []byte, registration verifier.Registration) (*Verdict, error) {
	question := map[string]any{"registration": registration}
	if token != nil {
		question["evidence"] = token
	}
	return w.post(ctx, "/v1/appraise", question)
}

// check is what a proxy does: it hands the REGISTER on as it is, with what the network knows.
func (w *World) check(ctx context.Context, message []byte, known registrar.Facts) (sipCode int, err error) {
	v, err := w.post(ctx, checkPath, map[string]any{"message": message, "registration": verifier.Registration{Auth: known.Algorithm,
		IntegrityProtected: known.Protected, ChallengeOutstanding: known.Outstanding, Initial: &known.Initial, Sender: "testbench"}})
	if err != nil {
		return 0, err
	}
	return v.SIPCode, nil
}

func (w *World) post(ctx context.Context, path string, question any) (*Verdict, error) {
	body, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.Verifier+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the verifier said %s: %s", response.Status, raw)
	}
	return w.readAnswer(raw)
}

// readAnswer trusts the signed result, and sees that the plain fields beside it say the same.
func (w *World) readAnswer(raw []byte) (*Verdict, error) {
	var answer struct {
		Status  string `json:"status"`
		SIPCode int    `json:"sip_code"`
		Reasons []struct {
			Code attest.Reason `json:"code"`
		} `json:"reasons"`
		Result string `json:"result"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return nil, fmt.Errorf("the verifier's answer: %w", err)
	}
	result, err := ear.Verify(answer.Result, &w.results.PublicKey, time.Now())
	if err != nil {
		return nil, err
	}
	if result.Status.String() != answer.Status {
		return nil, fmt.Errorf("the signed result says %s, the answer beside it %s", result.Status, answer.Status)
	}
	v := &Verdict{Status: result.Status, SIPCode: answer.SIPCode, Result: answer.Result}
	for _, r := range answer.Reasons {
		v.Reasons = append(v.Reasons, r.Code)
	}
	return v, nil
}
