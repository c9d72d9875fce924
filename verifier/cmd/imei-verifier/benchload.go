package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"imei-attest/verifier/bench"
)

// benchClients is the command that a run of bench starts for its clients, so that their processor time is not the server's.
const benchClients = "bench-clients"

// benchReady is what it says when the clients could begin.
const benchReady = "ready"

func newBenchClients() *cobra.Command {
	return &cobra.Command{
		Use:    benchClients,
		Short:  "The clients of bench, which starts them itself",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var load bench.Load
			if err := json.NewDecoder(c.InOrStdin()).Decode(&load); err != nil {
				return fail(exitUsage, fmt.Errorf("reading what the clients are to do: %w", err))
			}
			clients, err := load.Prepare(c.Context())
			if err != nil {
				return fail(exitFailed, err)
			}
			fmt.Fprintln(c.OutOrStdout(), benchReady)
			_, _ = io.Copy(io.Discard, c.InOrStdin()) // they begin when it ends
			before := processorTime()
			figures, err := clients.Ask(c.Context())
			if err != nil {
				return fail(exitFailed, err)
			}
			return json.NewEncoder(c.OutOrStdout()).Encode(asked{figures, processorTime() - before})
		},
	}
}

// asked is what the clients tell in the end: what they measured, and their processor time.
type asked struct {
	*bench.Figures
	Processor time.Duration `json:"processor_ns"`
}

// underLoad lets the clients ask, and looks at what that costs.
func (b *benchRun) underLoad(ctx context.Context, load *bench.Load) (*benchReport, error) {
	if b.check || b.s13 {
		load.Devices = b.asked
	}
	var peak bool
	var before time.Duration
	got, err := runClients(ctx, load, func() {
		debug.FreeOSMemory() // what registering took is not the server's
		peak, before = resetPeak(), processorTime()
	})
	if err != nil {
		return nil, err
	}
	r := &benchReport{Devices: b.devices, Clients: b.clients, Check: b.check, S13: b.s13, Figures: *got.Figures, LoadAverage: loadAverage()}
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(got.Answers) }
	r.Processor.Server, r.Processor.Clients = each(processorTime()-before), each(got.Processor)
	if peak {
		r.PeakRSS = peakRSS()
	}
	return r, nil
}

// runClients runs the clients in a process of their own. They begin when begin returns.
func runClients(ctx context.Context, load *bench.Load, begin func()) (got asked, err error) {
	program, err := os.Executable()
	if err != nil {
		return got, err
	}
	var complaint bytes.Buffer
	c := exec.CommandContext(ctx, program, benchClients)
	c.Stderr = &complaint
	in, err := c.StdinPipe()
	if err != nil {
		return got, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return got, err
	}
	if err := c.Start(); err != nil {
		return got, err
	}
	err = converse(in, out, load, begin, &got)
	if failed := c.Wait(); failed != nil {
		err = fmt.Errorf("the clients: %w: %s", failed, strings.TrimSpace(complaint.String()))
	}
	return got, err
}

// converse tells the clients what to do, which is on no command line because of the secret, and reads what came of it.
func converse(in io.WriteCloser, out io.Reader, load *bench.Load, begin func(), got *asked) error {
	defer in.Close()
	if err := json.NewEncoder(in).Encode(load); err != nil {
		return err
	}
	answers := bufio.NewReader(out)
	if line, _ := answers.ReadString('\n'); strings.TrimSpace(line) != benchReady {
		return fmt.Errorf("the clients are not ready: they say %q", line)
	}
	begin()
	if err := in.Close(); err != nil {
		return err
	}
	return json.NewDecoder(answers).Decode(got)
}

// processorTime is that of this process.
func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for no process of ours
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resetPeak begins the peak of the memory in use anew (proc(5), clear_refs), where the system can.
func resetPeak() bool { return os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) == nil }

// peakRSS is the peak of the memory in use, in bytes; 0 where the system does not tell.
func peakRSS() int64 {
	status, _ := os.ReadFile("/proc/self/status")
	_, line, _ := strings.Cut(string(status), "VmHWM:")
	fields := strings.Fields(line)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(fields[0], 10, 64)
	return kib << 10
}

// loadAverage is that of the last minute, with what else the machine does; 0 where the system does not tell.
func loadAverage() float64 {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	average, _ := strconv.ParseFloat(first, 64)
	return average
}
