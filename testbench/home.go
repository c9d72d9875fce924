package testbench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"imei-attest/testbench/registrar"
	"imei-attest/verifier"
)

// Front is where a registration meets the verifier.
type Front string

// The fronts of registrations.
const (
	FrontHTTP     Front = "http"     // an S-CSCF of ours asks POST /v1/registrations/check
	FrontKamailio Front = "kamailio" // Kamailio with the gate of verifier/kamailio
	FrontSCSCF    Front = "scscf"    // Kamailio as S-CSCF, with the SIP application server behind it
	Front5GEIR    Front = "5geir"    // as http; then an AMF asks the 5G-EIR about the same device
	FrontS13      Front = "s13"      // as http; then an MME asks the EIR over S13 about the same device
)

// openers start the home network of a front. A front that is not about IMS gets its line here too.
var openers = map[Front]func(*World, context.Context, *home, registrar.Subscriber, registrar.Observer) error{
	FrontHTTP:     (*World).openStandIn,
	FrontKamailio: (*World).openGate,
	FrontSCSCF:    (*World).openSCSCF,
	Front5GEIR:    (*World).open5GEIR,
	FrontS13:      (*World).openS13,
}

// Fronts are those that there are.
func Fronts() (list []Front) {
	for f := range openers {
		list = append(list, f)
	}
	slices.Sort(list)
	return list
}

// Check says why there is no such front; nil if there is.
func (f Front) Check() error {
	if _, known := openers[f]; known {
		return nil
	}
	var names []string
	for _, f := range Fronts() {
		names = append(names, string(f))
	}
	return fmt.Errorf("there is no front %q: want one of %s", f, strings.Join(names, ", "))
}

// home is a home network before the World's verifier.
type home struct {
	network, proxy string // where the UE registers: udp or tcp, host:port
	next           string // what stands behind the P-CSCF
	gates          bool   // the verifier is asked before the UE is answered
	verdict        func(context.Context) (verifier.Verdict, error)
	server         func(context.Context) (int, error)                      // what the application server answered, 0 where there is none
	nas            func(context.Context, *registering) (*Equipment, error) // asks as the access network does; nil where it does not
	closers        []func() error
}

func (h *home) close() error {
	var errs []error
	for _, c := range slices.Backward(h.closers) {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

// patience is how long one waits for what comes after the UE has its answer.
const patience = 10 * time.Second

// openHome starts it in a folder of its own.
func (w *World) openHome(ctx context.Context, front Front, who registrar.Subscriber, see registrar.Observer) (*home, error) {
	if err := front.Check(); err != nil {
		return nil, err
	}
	h := &home{verdict: w.verdict, server: func(context.Context) (int, error) { return 0, nil }}
	if err := openers[front](w, ctx, h, who, see); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

// forgetDecisions forgets those that nobody waited for.
func (w *World) forgetDecisions() {
	for len(w.decided) > 0 {
		<-w.decided
	}
}

func (w *World) verdict(ctx context.Context) (verifier.Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case v := <-w.decided:
		return v, nil
	case <-ctx.Done():
		return verifier.Verdict{}, fmt.Errorf("the verifier was not asked: %w", ctx.Err())
	}
}

// obeys says why the network does not do what the verifier said; nil if it does.
func (h *home) obeys(o *Outcome) error {
	said := o.Verdict.Answer.SIPCode
	switch {
	case h.gates && o.Answer.Code != said:
		return fmt.Errorf("the UE was answered %s, and the verifier said %d", o.Answer.Status(), said)
	case !h.gates && o.Answer.Code != http.StatusOK:
		return fmt.Errorf("the UE was answered %s before the application server was told", o.Answer.Status())
	case !h.gates && (o.Server == http.StatusForbidden) != (said == http.StatusForbidden):
		return fmt.Errorf("the application server answered %d, and the verifier said %d", o.Server, said)
	}
	return nil
}

// folder is a new one for what a front writes.
func (w *World) folder(name string) (string, error) {
	dir := filepath.Join(w.Dir, name)
	return dir, os.MkdirAll(dir, 0o700)
}

func (w *World) openStandIn(ctx context.Context, h *home, who registrar.Subscriber, see registrar.Observer) error {
	w.watch.as("S-CSCF", see)
	s, err := registrar.StartStandIn(ctx, []registrar.Subscriber{who}, w.check)
	if err != nil {
		return err
	}
	h.network, h.proxy, h.next, h.gates = "udp", s.Addr, "S-CSCF", true
	h.closers = append(h.closers, s.Close)
	return nil
}
