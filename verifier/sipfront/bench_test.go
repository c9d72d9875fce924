package sipfront_test

import (
	"context"
	"log/slog"
	"net"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	sipgo "github.com/emiago/sipgo/sip"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier"
	"imei-attest/verifier/sipfront"
	"imei-attest/verifier/store"
)

// benchMessages are judged in one block; each block of the three begins with stores and servers of its own.
const benchMessages = 2048

// BenchmarkApplicationServer compares what a third-party REGISTER with a fresh token costs the application server with what it costs sipgo to
// answer it with 200, plus one appraisal: processor time of the whole process, in blocks that take turns. The messages come from memory and go there,
// the same way for both servers.
func BenchmarkApplicationServer(b *testing.B) {
	w := newBenchWork(b)
	var bare, appraisal, server time.Duration
	messages := 0
	for b.Loop() {
		bare += w.bare(b)
		appraisal += w.appraisal(b)
		server += w.server(b)
		messages += benchMessages
	}
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(messages) }
	b.ReportMetric(each(bare), "cpu-ns/bare")
	b.ReportMetric(each(appraisal), "cpu-ns/appraisal")
	b.ReportMetric(each(server), "cpu-ns/message")
	b.ReportMetric(float64(time.Second)/each(server), "messages/cpu-s")
	b.ReportMetric(each(server)/(each(bare)+each(appraisal)), "ratio")
	b.ReportMetric(0, "ns/op")
}

// benchWork is the same for all: registrations with a token each, told of by an S-CSCF.
type benchWork struct {
	trust      *verifier.Trust
	nonces     *attest.NonceKeys
	first      []byte // evidence, with the Credential
	inputs     []verifier.Input
	datagrams  [][]byte
	discarding *slog.Logger
}

func newBenchWork(b *testing.B) *benchWork {
	b.Helper()
	w := &benchWork{trust: &verifier.Trust{Generation: 1}, discarding: slog.New(slog.DiscardHandler)}
	anchor := &verifier.Anchor{Issuer: attesttest.Credential().Issuer, OEMID: attesttest.Credential().OEMID, StorageKinds: []attest.StorageKind{attest.StorageSoftware}}
	if err := w.trust.Keys.Add(&attesttest.OEMKey.PublicKey, anchor); err != nil {
		b.Fatal(err)
	}
	var err error
	if w.nonces, err = attest.NewNonceKeys(0, make([]byte, 32), nil); err != nil {
		b.Fatal(err)
	}
	w.first = w.token(b, attesttest.SignedCredential(attesttest.Credential()))
	for range benchMessages {
		token := w.token(b, nil)
		w.inputs = append(w.inputs, verifier.Input{Evidence: token, Now: attesttest.Now, Registration: &verifier.Registration{
			InstanceID: "<urn:gsma:imei:49015420-323751-0>", IMPI: "alice@ims.example", IMPU: "sip:alice@ims.example", Auth: "AKAv1-MD5", IntegrityProtected: "yes",
			Challenge401: aka401, CallID: "c1", CSeq: 2, Front: verifier.FrontSIP}})
		w.datagrams = append(w.datagrams, []byte(including(registered(contact+digest, token))))
	}
	return w
}

var benchNonces = &counting{}

// counting is randomness that never repeats.
type counting struct{ n uint64 }

func (c *counting) Read(p []byte) (int, error) {
	c.n++
	copy(p, strconv.FormatUint(c.n*0x9e3779b97f4a7c15, 36)+"0123456789abcdefghijklmnopqrstuvwxyz")
	return len(p), nil
}

func (w *benchWork) token(b *testing.B, credential []byte) []byte {
	c := attesttest.Claims()
	var err error
	if c.Nonce, err = w.nonces.Mint(benchNonces, attesttest.Now, attest.DefaultNonceBytes); err != nil {
		b.Fatal(err)
	}
	return attesttest.Token(c, credential)
}

// verifier is a new one that knows the device.
func (w *benchWork) verifier(b *testing.B) *verifier.Verifier {
	v, err := verifier.New(verifier.Config{Store: store.NewMemory(), Nonces: w.nonces, Trust: w.trust})
	if err == nil {
		_, err = v.Appraise(b.Context(), verifier.Input{Evidence: w.first, Now: attesttest.Now})
	}
	if err != nil {
		b.Fatal(err)
	}
	return v
}

func (w *benchWork) appraisal(b *testing.B) time.Duration {
	v := w.verifier(b)
	return processorTime(func() {
		for _, in := range w.inputs {
			if _, err := v.Appraise(b.Context(), in); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// bare is sipgo's transport and transactions, as its server has them, which answers with 200 whatever comes.
func (w *benchWork) bare(b *testing.B) time.Duration {
	transport := sipgo.NewTransportLayer(net.DefaultResolver, sipgo.NewParser(), nil, sipgo.WithTransportLayerLogger(w.discarding))
	transactions := sipgo.NewTransactionLayer(transport, sipgo.WithTransactionLayerLogger(w.discarding))
	transactions.OnRequest(func(request *sipgo.Request, tx *sipgo.ServerTx) {
		if err := tx.Respond(sipgo.NewResponseFromRequest(request, sipgo.StatusOK, "OK", nil)); err != nil {
			b.Error(err)
		}
		tx.TerminateGracefully()
	})
	memory := newMemoryConn(w.datagrams)
	took := processorTime(func() {
		go transport.ServeUDP(memory)
		<-memory.answered
	})
	memory.Close()
	transactions.Close()
	if err := transport.Close(); err != nil {
		b.Error(err)
	}
	return took
}

func (w *benchWork) server(b *testing.B) time.Duration {
	v := w.verifier(b)
	server, err := sipfront.New(sipfront.Config{Verifier: v, Peers: loopback, InFlight: 256, Now: func() time.Time { return attesttest.Now }, Log: w.discarding,
		Answered: func(o sipfront.Outcome) {
			if o.Code != 200 || o.Original != "read" {
				b.Errorf("%+v", o)
			}
		}, Limited: func(by string) { b.Error(by) }})
	if err != nil {
		b.Fatal(err)
	}
	memory := newMemoryConn(w.datagrams)
	streams, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	took := processorTime(func() {
		go func() { ended <- server.Serve(ctx, memory, streams, time.Second) }()
		<-memory.answered
	})
	stop()
	if err := <-ended; err != nil {
		b.Error(err)
	}
	return took
}

// processorTime is what the process takes meanwhile, of the user's and the system's time.
func processorTime(work func()) time.Duration {
	runtime.GC()
	used := func() time.Duration {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // of the process itself it cannot fail
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	work()
	return used() - before
}

// memoryConn is a socket for datagrams in memory: it hands them out, so many at a time, and takes the answers.
type memoryConn struct {
	datagrams [][]byte
	next      int
	window    chan struct{}
	left      atomic.Int64
	answered  chan struct{} // closed when all are
	closed    chan struct{}
	once      sync.Once
}

func newMemoryConn(datagrams [][]byte) *memoryConn {
	const window = 64
	m := &memoryConn{datagrams: datagrams, window: make(chan struct{}, window), answered: make(chan struct{}), closed: make(chan struct{})}
	m.left.Store(int64(len(datagrams)))
	return m
}

var peer = &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5060}

func (m *memoryConn) ReadFrom(p []byte) (int, net.Addr, error) {
	if m.next == len(m.datagrams) {
		<-m.closed
		return 0, nil, net.ErrClosed
	}
	m.window <- struct{}{}
	n := copy(p, m.datagrams[m.next])
	m.next++
	return n, peer, nil
}

func (m *memoryConn) WriteTo(p []byte, _ net.Addr) (int, error) {
	<-m.window
	if m.left.Add(-1) == 0 {
		close(m.answered)
	}
	return len(p), nil
}

func (m *memoryConn) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

func (m *memoryConn) LocalAddr() net.Addr {
	return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5062}
}
func (m *memoryConn) SetDeadline(time.Time) error      { return m.Close() }
func (m *memoryConn) SetReadDeadline(time.Time) error  { return m.Close() }
func (m *memoryConn) SetWriteDeadline(time.Time) error { return nil }
