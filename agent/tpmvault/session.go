package tpmvault

import (
	"context"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// contextTPM ends commands with a context.
type contextTPM struct {
	ctx context.Context
	tpm transport.TPM
}

// withContext makes every command of tpm depend on ctx: none is sent once ctx is done, and a transport that can bounds
// each by the deadline.
func withContext(ctx context.Context, tpm transport.TPM) contextTPM { return contextTPM{ctx, tpm} }

// uncancelled is the same transport for cleaning up, which has to happen after a cancellation too.
func (c contextTPM) uncancelled() contextTPM {
	return contextTPM{context.WithoutCancel(c.ctx), c.tpm}
}

// sendError is a failure of the transport, which tells it from a response that go-tpm does not accept.
type sendError struct{ err error }

func (e *sendError) Error() string { return e.err.Error() }
func (e *sendError) Unwrap() error { return e.err }

// Send implements transport.TPM.
func (c contextTPM) Send(command []byte) ([]byte, error) {
	response, err := c.send(command)
	if err != nil {
		return nil, &sendError{err}
	}
	return response, nil
}

func (c contextTPM) send(command []byte) ([]byte, error) {
	if bounded, ok := c.tpm.(interface {
		SendContext(context.Context, []byte) ([]byte, error)
	}); ok {
		return bounded.SendContext(c.ctx, command)
	}
	if err := c.ctx.Err(); err != nil {
		return nil, err
	}
	return c.tpm.Send(command)
}

// nonceBytes is the length of nonceCaller, the least a TPM takes (Part 3 section 11.1).
const nonceBytes = 16

// withPolicy runs use with a session in which policy has run. The session is gone afterwards in every case: go-tpm
// leaves it behind when policy fails or when the transport does, and three of them shut everybody out of the TPM.
func withPolicy(t contextTPM, policy func(session tpm2.TPMHandle) error, use func(tpm2.Session) error) error {
	return withNoncePolicy(t, func(session tpm2.TPMHandle, _ []byte) error { return policy(session) }, use)
}

// withNoncePolicy is withPolicy for a policy that needs the session's nonceTPM (Part 1 section 19.6.2).
func withNoncePolicy(t contextTPM, policy func(session tpm2.TPMHandle, nonce []byte) error, use func(tpm2.Session) error) error {
	var started tpm2.TPMHandle
	session := tpm2.Policy(tpm2.TPMAlgSHA256, nonceBytes,
		func(_ transport.TPM, handle tpm2.TPMISHPolicy, nonce tpm2.TPM2BNonce) error {
			started = handle
			return policy(handle, nonce.Buffer)
		})
	err := use(session)
	if err != nil && started != 0 {
		// It fails where go-tpm has flushed the session already, which is well.
		_ = flush(t.uncancelled(), started)
	}
	return err
}

func flush(tpm transport.TPM, handle tpm2.TPMHandle) error {
	_, err := tpm2.FlushContext{FlushHandle: handle}.Execute(tpm)
	return explain("freeing a slot of the TPM", err)
}

// flushLeftovers frees what an earlier program that broke off left in the TPM.
func flushLeftovers(t contextTPM) error {
	const loadedSessions = tpm2.TPMHT(0x02) // Part 2 section 7.2, TPM_HT_LOADED_SESSION
	for _, kind := range []tpm2.TPMHT{loadedSessions, tpm2.TPMHTTransient} {
		response, err := tpm2.GetCapability{
			Capability: tpm2.TPMCapHandles, Property: uint32(kind) << 24, PropertyCount: 64,
		}.Execute(t)
		if err != nil {
			return explain("listing what occupies the TPM", err)
		}
		list, err := response.CapabilityData.Data.Handles()
		if err != nil {
			return err
		}
		for _, handle := range list.Handle {
			if err := flush(t, handle); err != nil {
				return err
			}
		}
	}
	return nil
}
