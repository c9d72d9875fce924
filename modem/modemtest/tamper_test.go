//go:build linux

package modemtest_test

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

// behind serves the emulator and a man in the middle before it, and returns the port that programs have.
func behind(t *testing.T, e *modemtest.Emulator, tampering modemtest.Tampering) modem.Port {
	t.Helper()
	modemPort := e.Pipe()
	port, line := modemtest.NewPipe()
	ended := make(chan error, 1)
	go func() { ended <- modemtest.Intercept(t.Context(), line, modemPort, nil, tampering) }()
	t.Cleanup(func() {
		port.Close()
		modemPort.Close()
		if err := <-ended; err != nil {
			t.Errorf("Intercept: %v", err)
		}
	})
	return port
}

func readBehind(t *testing.T, config modemtest.Config, tampering modemtest.Tampering) (r modem.Reading) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e, err := modemtest.New(config)
		if err != nil {
			t.Fatal(err)
		}
		if r, err = modem.NewReader(behind(t, e, tampering), modem.Config{}).Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	return r
}

// A man in the middle that rewrites every form cannot be told from the modem over AT. One that forgets a form can.
func TestReadingThroughAManInTheMiddle(t *testing.T) {
	rewrite := func(pairs ...string) (t modemtest.Tampering) {
		for i := 0; i < len(pairs); i += 2 {
			t.Rewrites = append(t.Rewrites, modemtest.Rewrite{From: pairs[i], To: pairs[i+1]})
		}
		return t
	}
	all := rewrite(genericIMEI, otherIMEI, genericIMEI[:14], otherIMEI[:14])
	slow := all
	slow.Delay = 20 * time.Millisecond
	drip, err := modemtest.FaultNamed("drip")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		config    modemtest.Config
		tampering modemtest.Tampering
		imei      string
		agreement modem.Agreement
	}{
		"nothing":                  {modemtest.Config{}, modemtest.Tampering{}, genericIMEI, modem.AgreementFull},
		"every form":               {modemtest.Config{}, all, otherIMEI, modem.AgreementFull},
		"every form, late":         {modemtest.Config{}, slow, otherIMEI, modem.AgreementFull},
		"every form, in pieces":    {modemtest.Config{Faults: drip.Faults}, all, otherIMEI, modem.AgreementFull},
		"IMEI but not IMEISV":      {modemtest.Config{}, rewrite(genericIMEI, otherIMEI), otherIMEI, modem.AgreementConflict},
		"one form":                 {modemtest.Config{}, rewrite(`+CGSN: "`+genericIMEI, `+CGSN: "`+otherIMEI), otherIMEI, modem.AgreementConflict},
		"all but that form":        {modemtest.Config{}, rewrite("\n"+genericIMEI, "\n"+otherIMEI), genericIMEI, modem.AgreementConflict},
		"UCS2 in the quoted forms": {modemtest.Config{UCS2: true}, all, genericIMEI, modem.AgreementConflict},
	} {
		t.Run(name, func(t *testing.T) {
			r := readBehind(t, tt.config, tt.tampering)
			if got := r.Slots[0].IMEI.Digits(); got != tt.imei || r.Agreement != tt.agreement {
				t.Errorf("read %s, agreement %v; want %s, %v", got, r.Agreement, tt.imei, tt.agreement)
			}
		})
	}
}

func TestRewritesInPieces(t *testing.T) {
	tampering := modemtest.Tampering{Rewrites: []modemtest.Rewrite{{"abcab", "<1>"}, {"abd", ""}, {"x", "xx"}}}
	for _, tt := range []struct{ said, want string }{
		{"abcab", "<1>"}, {"ababcabc", "ab<1>c"}, {"abcabd", "<1>d"}, {"abdabd", ""}, {"abcxabd", "abcxx"}, {"abca", "abca"}, {"", ""}, {"xabc", "xxabc"},
	} {
		for size := 1; size <= len(tt.said)+1; size++ {
			synctest.Test(t, func(t *testing.T) {
				port, line := modemtest.NewPipe()
				modemPort, modemLine := modemtest.NewPipe()
				ended := make(chan error, 1)
				go func() { ended <- modemtest.Intercept(t.Context(), line, modemPort, nil, tampering) }()
				for rest := tt.said; rest != ""; rest = rest[min(size, len(rest)):] {
					if _, err := io.WriteString(modemLine, rest[:min(size, len(rest))]); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
				}
				time.Sleep(time.Second) // what may begin a text is told when nothing more comes
				if got := say(t, port, ""); got != tt.want {
					t.Errorf("%q by %d was told as %q, want %q", tt.said, size, got, tt.want)
				}
				modemPort.Close()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// After so many lines the modem is not asked again: a reader sees the IMEI that was, whatever it is now.
func TestAnswersAreReplayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := modemtest.New(modemtest.Config{})
		if err != nil {
			t.Fatal(err)
		}
		port := behind(t, e, modemtest.Tampering{ReplayAfter: 5})
		reader := modem.NewReader(port, modem.Config{})
		for range 3 {
			r, err := reader.Read(t.Context())
			if err != nil || r.Slots[0].IMEI.Digits() != genericIMEI || r.Agreement != modem.AgreementFull {
				t.Errorf("read %+v, %v, %v", r.Slots, r.Agreement, err)
			}
			e.SetIMEI(otherIMEI)
		}
	})
}

// Tampering is with what the modem says: what would write an identity does not pass.
func TestInterceptRefusesToWriteAnIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := modemtest.New(modemtest.Config{EchoOff: true, Policy: "open"})
		if err != nil {
			t.Fatal(err)
		}
		port := behind(t, e, modemtest.Tampering{ReplayAfter: 1, Rewrites: []modemtest.Rewrite{{"OK", "FINE"}}})
		if got := say(t, port, strings.Repeat(writeOther+"\r", 2)+"AT+CGSN\r"); got != "\r\nERROR\r\n\r\nERROR\r\n\r\n"+genericIMEI+"\r\n\r\nFINE\r\n" {
			t.Errorf("heard %q", got)
		}
	})
}
