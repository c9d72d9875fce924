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
	"imei-attest/verifier/sipfront"
)

// Bounds on a client of the server: a registration is small and hurried.
const (
	readHeaderTime = 5 * time.Second
	readTime       = 10 * time.Second
	writeTime      = 10 * time.Second
	idleTime       = 2 * time.Minute
	drainTime      = 10 * time.Second
	maxHeaderBytes = 16 << 10
)

// operatorConnections bounds those at the operator's address: people, and a few programs that watch.
const operatorConnections = 64

// door is a listener with who answers there: a handler, or the application server, which has a socket for UDP beside it.
type door struct {
	net.Listener
	handler     http.Handler
	connections *access.Connections
	sip         *sipfront.Server
	packets     net.PacketConn
	operator    bool // for the operator alone
}

// doors opens the listeners: all of them, or none.
func (s *service) doors() (doors []door, err error) {
	defer func() {
		if err != nil {
			for _, d := range doors {
				d.close()
			}
		}
	}()
	for _, open := range []func() (door, error){s.publicDoor, s.sipDoor, s.operatorDoor} {
		d, err := open()
		if err != nil {
			return doors, err
		}
		if d.Listener != nil {
			doors = append(doors, d)
		}
	}
	s.log.Info("listening", "address", doors[0].Addr().String(), "version", versionText())
	return doors, nil
}

func (d *door) close() {
	_ = d.Close()
	if d.packets != nil {
		_ = d.packets.Close()
	}
}

func (s *service) publicDoor() (door, error) {
	handler, err := s.handler()
	if err != nil {
		return door{}, err
	}
	d, err := s.listen("listen", s.config.Listen, s.config.Limits.Connections, s.config.TLS.Certificate != "")
	if err != nil {
		return door{}, err
	}
	s.connections = d.connections
	d.handler = s.metrics.Measure(s.gate.Handler(handler), time.Now)
	return d, nil
}

func (s *service) operatorDoor() (door, error) {
	if s.config.Admin == "" {
		return door{}, nil
	}
	d, err := s.listen("admin", s.config.Admin, operatorConnections, !config.Loopback(s.config.Admin))
	if err != nil {
		return door{}, err
	}
	d.handler, d.operator = patient(s.adminHandler()), true
	s.log.Info("listening for the operator", "address", d.Addr().String())
	return d, nil
}

func (s *service) listen(key, address string, connections int, secured bool) (door, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return door{}, s.cannotListen(key, err)
	}
	bounded := access.NewConnections(l, connections, func(l access.Limit) { s.metrics.Limited(string(l)) })
	d := door{Listener: bounded, connections: bounded}
	if secured {
		d.Listener = tls.NewListener(bounded, s.certificates.Config())
	}
	return d, nil
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

// serveUntil serves until ctx is done or a door fails, then lets requests under way finish. The operator's door stays open until the others
// are closed, and says meanwhile that the service is not ready.
func (s *service) serveUntil(ctx context.Context, stop context.CancelFunc, doors []door) error {
	othersOpen, othersClosed := context.WithCancel(context.WithoutCancel(ctx))
	defer othersClosed()
	ended := make(chan error, len(doors))
	var others sync.WaitGroup
	for _, d := range doors {
		serve := func(ctx context.Context) {
			defer stop() // one door that fails closes the others
			ended <- s.serve(ctx, d)
		}
		if d.operator {
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

func (s *service) serve(ctx context.Context, d door) error {
	if d.sip != nil {
		return d.sip.Serve(ctx, d.packets, d.Listener, drainTime)
	}
	server := &http.Server{
		Handler: d.handler, ReadHeaderTimeout: readHeaderTime, ReadTimeout: readTime, WriteTimeout: writeTime, ConnContext: d.connections.Context,
		IdleTimeout: idleTime, MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // callers' faults
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
