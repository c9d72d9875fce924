package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
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

// door is a listener with who answers there.
type door struct {
	net.Listener
	handler     http.Handler
	connections *access.Connections
	own         bool            // the operator's: it stays open until the others are closed
	protocols   *http.Protocols // nil is HTTP/1.1
}

// doors opens the listeners: all of them, or none.
func (s *service) doors() (doors []door, err error) {
	defer func() {
		if err != nil {
			for _, d := range doors {
				d.Close()
			}
			doors = nil
		}
	}()
	handler, err := s.handler()
	if err != nil {
		return nil, err
	}
	public, err := s.listen("listen", s.config.Listen, s.config.Limits.Connections, s.publicTLS())
	if err != nil {
		return nil, err
	}
	s.connections = public.connections
	public.handler = s.metrics.Measure(s.gate.Handler(handler), time.Now)
	doors = append(doors, public)
	if s.eir != nil {
		d, err := s.eirDoor()
		if err != nil {
			return doors, err
		}
		doors = append(doors, d)
		s.log.Info("listening for AMFs", "address", d.Addr().String())
	}
	if s.config.Admin != "" {
		own, err := s.adminDoor()
		if err != nil {
			return doors, err
		}
		doors = append(doors, own)
		s.log.Info("listening for the operator", "address", own.Addr().String())
	}
	s.log.Info("listening", "address", public.Addr().String(), "version", versionText())
	return doors, nil
}

// publicTLS is nil where the interface has no TLS.
func (s *service) publicTLS() *access.Certificates {
	if s.config.TLS.Certificate == "" {
		return nil
	}
	return &s.certificates
}

func (s *service) adminDoor() (door, error) {
	certificates := &s.certificates
	if config.Loopback(s.config.Admin) {
		certificates = nil
	}
	own, err := s.listen("admin", s.config.Admin, operatorConnections, certificates)
	if err != nil {
		return door{}, err
	}
	own.own, own.handler = true, patient(s.adminHandler())
	return own, nil
}

// listen opens an address, with TLS where there are certificates.
func (s *service) listen(key, address string, connections int, certificates *access.Certificates) (door, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w: stop the program that listens there (ss -ltnp names it), or give another address", err)
	}
	if err != nil {
		return door{}, fmt.Errorf("%s (%s): %w", key, s.config.Origin(key), err)
	}
	bounded := access.NewConnections(l, connections, func(l access.Limit) { s.metrics.Limited(string(l)) })
	d := door{Listener: bounded, connections: bounded}
	if certificates != nil {
		d.Listener = tls.NewListener(bounded, certificates.Config())
	}
	return d, nil
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

// serveUntil serves until ctx is done or a door fails, then lets requests under way finish. The operator's door stays open until the others
// are closed, and says meanwhile that the service is not ready.
func (s *service) serveUntil(ctx context.Context, stop context.CancelFunc, doors []door) error {
	othersOpen, othersClosed := context.WithCancel(context.WithoutCancel(ctx))
	defer othersClosed()
	var others sync.WaitGroup
	ended := make(chan error, len(doors))
	for _, d := range doors {
		if d.own {
			go func() {
				defer stop() // one door that fails closes the others
				ended <- s.serve(othersOpen, d)
			}()
			continue
		}
		others.Go(func() {
			defer stop()
			ended <- s.serve(ctx, d)
		})
	}
	go func() {
		others.Wait()
		othersClosed()
	}()
	var errs []error
	for range doors {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

func (s *service) serve(ctx context.Context, d door) error {
	server := &http.Server{
		Handler: d.handler, ReadHeaderTimeout: readHeaderTime, ReadTimeout: readTime, WriteTimeout: writeTime, ConnContext: d.connections.Context,
		IdleTimeout: idleTime, MaxHeaderBytes: maxHeaderBytes, Protocols: d.protocols, HTTP2: &http.HTTP2Config{SendPingTimeout: pingEach, PingTimeout: pongTime}, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // callers' faults
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(d.Listener) }()
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
