package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"imei-attest/verifier/access"
	"imei-attest/verifier/config"
	"imei-attest/verifier/httpapi"
)

// Bounds on a client of the server: a registration is small and hurried.
const (
	readHeaderTime = 5 * time.Second
	readTime       = 10 * time.Second
	writeTime      = 10 * time.Second
	idleTime       = 2 * time.Minute
	drainTime      = 10 * time.Second
	maxHeaderBytes = 16 << 10
	pingEach       = 15 * time.Second // on a silent connection of HTTP/2
	pongTime       = 15 * time.Second
)

// operatorConnections bounds those at the operator's address: people, and a few programs that watch.
const operatorConnections = 64

// door is where somebody answers.
type door struct {
	at        net.Addr
	sockets   []io.Closer                 // one or more
	operators bool                        // it stays open until the others are closed
	serve     func(context.Context) error // until ctx is done, and what is under way is answered
}

func (d door) address() string { return d.at.String() }

func (d door) close() {
	for _, socket := range d.sockets {
		_ = socket.Close() // nobody was answered there
	}
}

// doors opens the listeners: all of them, or none. The first is the public one.
func (s *service) doors() (doors []door, err error) {
	openers := []func() (door, error){s.publicDoor}
	if s.eir != nil {
		openers = append(openers, s.eirDoor)
	}
	if s.s13 != nil {
		openers = append(openers, s.s13Door)
	}
	if s.config.SIP.Listen != "" {
		openers = append(openers, s.sipDoor)
	}
	if s.config.Admin != "" {
		openers = append(openers, s.operatorsDoor)
	}
	for _, open := range openers {
		d, err := open()
		if err != nil {
			for _, d := range doors {
				d.close()
			}
			return nil, err
		}
		doors = append(doors, d)
	}
	s.log.Info("listening", "address", doors[0].address(), "version", versionText())
	return doors, nil
}

func (s *service) publicDoor() (door, error) {
	handler, err := s.handler()
	if err != nil {
		return door{}, err
	}
	certificates := &s.certificates
	if s.config.TLS.Certificate == "" {
		certificates = nil
	}
	l, connections, err := s.listen("listen", s.config.Listen, s.config.Limits.Connections, certificates)
	if err != nil {
		return door{}, err
	}
	s.connections = connections
	return s.httpDoor(l, &http.Server{Handler: s.metrics.Measure(s.gate.Handler(handler), time.Now), ConnContext: connections.Context}), nil
}

func (s *service) operatorsDoor() (door, error) {
	certificates := &s.certificates
	if config.Loopback(s.config.Admin) {
		certificates = nil
	}
	l, connections, err := s.listen("admin", s.config.Admin, operatorConnections, certificates)
	if err != nil {
		return door{}, err
	}
	d := s.httpDoor(l, &http.Server{Handler: patient(s.adminHandler()), ConnContext: connections.Context})
	d.operators = true
	s.log.Info("listening for the operator", "address", d.address())
	return d, nil
}

// listen opens an address with a bound on connections, and with TLS where there are certificates.
func (s *service) listen(key, address string, connections int, certificates *access.Certificates) (net.Listener, *access.Connections, error) {
	l, err := s.bind(key, address)
	if err != nil {
		return nil, nil, err
	}
	bounded := access.NewConnections(l, connections, func(l access.Limit) { s.metrics.Limited(string(l)) })
	if certificates != nil {
		return tls.NewListener(bounded, certificates.Config()), bounded, nil
	}
	return bounded, bounded, nil
}

// bind opens the address of a setting.
func (s *service) bind(key, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, s.cannotListen(key, err)
	}
	return l, nil
}

func (s *service) cannotListen(key string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w: stop the program that listens there (ss -ltnup names it), or give another address", err)
	}
	return fmt.Errorf("%s (%s): %w", key, s.config.Origin(key), err)
}

// adminHandler is the operator's interface. On loopback whoever is on the machine has it; beyond, who has the role admin.
func (s *service) adminHandler() http.Handler {
	identify := httpapi.Anybody(httpapi.RoleAdmin)
	if !config.Loopback(s.config.Admin) {
		identify = s.identify
	}
	mux := http.NewServeMux()
	s.health.routes(mux)
	figures := s.metrics.Handler()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		if identify(r).Roles&httpapi.RoleAdmin == 0 {
			say(w, http.StatusForbidden, map[string]string{"status": "this needs the role admin"})
			return
		}
		figures.ServeHTTP(w, r)
	})
	mux.Handle("/", httpapi.NewAdmin(s.verifier, identify, s.log))
	return mux
}

// patient lets a long answer last as long as its reader goes on reading: the time to write is that of each piece.
func patient(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&patientWriter{w, http.NewResponseController(w)}, r)
	})
}

type patientWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (p *patientWriter) Write(b []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(writeTime)) // of a connection: net/http's has one
	return p.ResponseWriter.Write(b)
}

func (p *patientWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// serveUntil serves until ctx is done or a door fails, then lets requests under way finish. The operator's door stays open until the
// others are closed, and says meanwhile that the service is not ready.
func (s *service) serveUntil(ctx context.Context, stop context.CancelFunc, doors []door) error {
	othersOpen, othersClosed := context.WithCancel(context.WithoutCancel(ctx))
	defer othersClosed()
	var others sync.WaitGroup
	ended := make(chan error, len(doors))
	for _, d := range doors {
		serve := func(ctx context.Context) {
			defer stop() // one door that fails closes the others
			ended <- d.serve(ctx)
		}
		if d.operators {
			go serve(othersOpen)
			continue
		}
		others.Go(func() { serve(ctx) })
	}
	others.Wait()
	othersClosed()
	var errs []error
	for range doors {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

// httpDoor answers over HTTP: a server that says who answers and how, and is bounded here.
func (s *service) httpDoor(l net.Listener, server *http.Server) door {
	server.ReadHeaderTimeout, server.ReadTimeout, server.WriteTimeout, server.IdleTimeout = readHeaderTime, readTime, writeTime, idleTime
	server.MaxHeaderBytes, server.HTTP2 = maxHeaderBytes, &http.HTTP2Config{SendPingTimeout: pingEach, PingTimeout: pongTime}
	server.ErrorLog = slog.NewLogLogger(s.log.Handler(), slog.LevelDebug) // callers' faults
	return door{at: l.Addr(), sockets: []io.Closer{l}, serve: func(ctx context.Context) error { return s.serve(ctx, l, server) }}
}

func (s *service) serve(ctx context.Context, l net.Listener, server *http.Server) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	s.health.draining.Store(true)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := server.Shutdown(drain); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stopping: %w", err)
	}
	return nil
}
