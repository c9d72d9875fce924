package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"imei-attest/verifier/ear"
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
)

// door is a listener with who answers there.
type door struct {
	net.Listener
	handler http.Handler
}

// doors opens the listeners: all of them, or none.
func (s *server) doors(v *judge, log *slog.Logger) ([]door, error) {
	results, err := ear.NewSigner(v.keys.result, versionText())
	if err != nil {
		return nil, err
	}
	handler, err := httpapi.New(httpapi.Config{Verifier: v.Verifier, Results: results,
		Identify: httpapi.Anybody(httpapi.RoleDevice | httpapi.RoleNetwork), Rand: rand.Reader, Now: time.Now, Log: log, Version: versionText()})
	if err != nil {
		return nil, err
	}
	public, err := net.Listen("tcp", s.listen)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	doors := []door{{public, handler}}
	if s.admin != "" {
		listener, err := listenAdmin(s.admin, log)
		if err != nil {
			public.Close()
			return nil, err
		}
		doors = append(doors, door{listener, httpapi.NewAdmin(v.Verifier, httpapi.Anybody(httpapi.RoleAdmin), log)})
		log.Info("listening for the operator", "address", listener.Addr().String())
	}
	log.Info("listening", "address", public.Addr().String(), "version", versionText())
	return doors, nil
}

// listenAdmin keeps what has no authentication to this machine, unless it is told otherwise.
func listenAdmin(address string, log *slog.Logger) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("--admin: %w", err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("--admin: %w", err)
	}
	if at, ok := listener.Addr().(*net.TCPAddr); ok && !at.IP.IsLoopback() {
		log.Warn("the admin address can be reached from other machines, and asks nobody who he is: leave its host out, or let a firewall guard it")
	}
	return listener, nil
}

// serveUntil serves until ctx is done or a door fails, then lets requests under way finish.
func serveUntil(ctx context.Context, stop context.CancelFunc, doors []door, log *slog.Logger) error {
	ended := make(chan error, len(doors))
	for _, d := range doors {
		go func() {
			defer stop() // one door that fails closes the others
			ended <- d.serve(ctx, log)
		}()
	}
	var errs []error
	for range doors {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

func (d door) serve(ctx context.Context, log *slog.Logger) error {
	server := &http.Server{
		Handler: d.handler, ReadHeaderTimeout: readHeaderTime, ReadTimeout: readTime, WriteTimeout: writeTime,
		IdleTimeout: idleTime, MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(d.Listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := server.Shutdown(drain); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stopping: %w", err)
	}
	return nil
}
