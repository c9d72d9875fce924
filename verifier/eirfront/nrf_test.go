package eirfront_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imei-attest/testbench/nrftest"
	"imei-attest/verifier/eirfront"
)

// registering is a registrar under way, and its NRF, which is asked without a network.
type registering struct {
	nrf     *nrftest.NRF
	log     *bytes.Buffer
	changes *[]bool
	stop    func()
}

// register runs a registrar in a bubble of synctest, in which time stands while anything is done.
func register(t *testing.T, nrf *nrftest.NRF, edits ...func(*eirfront.Registrar)) *registering {
	r := &registering{nrf: nrf, log: new(bytes.Buffer), changes: new([]bool)}
	registrar := &eirfront.Registrar{Root: "http://nrf.example", Transport: transport{nrf}, Profile: eirfront.Profile{Instance: instance, Address: "127.0.0.1:7777"},
		Log: slog.New(slog.NewTextHandler(r.log, nil)), Changed: func(known bool) { *r.changes = append(*r.changes, known) }}
	for _, edit := range edits {
		edit(registrar)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- registrar.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	synctest.Wait()
	return r
}

// inBubble runs a test on a clock of its own.
func inBubble(t *testing.T, test func(t *testing.T)) { synctest.Test(t, test) }

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestANetworkFunctionIsRegisteredAsLongAsItRuns(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := register(t, &nrftest.NRF{Heartbeat: 7 * time.Second})
		if r.nrf.Profile(instance) == nil {
			t.Fatalf("not registered: %v", r.nrf.Seen())
		}
		pass(22 * time.Second)
		if got, want := r.nrf.Seen(), []string{"PUT 201", "PATCH 204", "PATCH 204", "PATCH 204"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		pass(time.Hour)
		if r.nrf.Profile(instance) == nil {
			t.Error("it counts as gone")
		}
		r.stop()
		if seen := r.nrf.Seen(); seen[len(seen)-1] != "DELETE 204" || r.nrf.Profile(instance) != nil || !slices.Equal(*r.changes, []bool{true, false}) {
			t.Errorf("after the end: %v, %v", seen[len(seen)-1], *r.changes)
		}
	})
}

func TestTheProfileSaysWhereAMFsFindTheFront(t *testing.T) {
	service := func(scheme string, endPoint map[string]any, more ...string) map[string]any {
		s := map[string]any{"serviceInstanceId": "n5g-eir-eic-1", "serviceName": "n5g-eir-eic", "versions": []any{map[string]any{"apiVersionInUri": "v1", "apiFullVersion": "1.0.0"}},
			"scheme": scheme, "nfServiceStatus": "REGISTERED", "ipEndPoints": []any{endPoint}, "allowedNfTypes": []any{"AMF"}}
		for i := 0; i < len(more); i += 2 {
			s[more[i]] = more[i+1]
		}
		return s
	}
	for _, c := range []struct {
		address string
		tls     bool
		key     string
		value   any
		service map[string]any
	}{
		{"192.0.2.1:7777", false, "ipv4Addresses", []any{"192.0.2.1"}, service("http", map[string]any{"ipv4Address": "192.0.2.1", "transport": "TCP", "port": 7777.0})},
		{"[2001:db8::1]:443", true, "ipv6Addresses", []any{"2001:db8::1"}, service("https", map[string]any{"ipv6Address": "2001:db8::1", "transport": "TCP", "port": 443.0})},
		{"[::ffff:192.0.2.1]:80", false, "ipv4Addresses", []any{"192.0.2.1"}, service("http", map[string]any{"ipv4Address": "192.0.2.1", "transport": "TCP", "port": 80.0})},
		{"eir.operator.example:443", true, "fqdn", "eir.operator.example", service("https", map[string]any{"transport": "TCP", "port": 443.0}, "fqdn", "eir.operator.example")},
	} {
		inBubble(t, func(t *testing.T) {
			r := register(t, new(nrftest.NRF), func(r *eirfront.Registrar) { r.Profile.Address, r.Profile.TLS = c.address, c.tls })
			want := map[string]any{"nfInstanceId": instance, "nfType": "5G_EIR", "nfStatus": "REGISTERED", c.key: c.value, "allowedNfTypes": []any{"AMF"},
				"nfServices": []any{c.service}, "nfServiceList": map[string]any{"n5g-eir-eic-1": c.service}}
			if got := r.nrf.Profile(instance); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %v\nwant %v", c.address, got, want)
			}
			r.stop()
		})
	}
}

func TestAnNRFThatForgetsIsToldAnew(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := register(t, &nrftest.NRF{Heartbeat: 10 * time.Second})
		pass(15 * time.Second)
		r.nrf.Restart()
		pass(5 * time.Second)
		if got, want := r.nrf.Seen(), []string{"PUT 201", "PATCH 204", "PATCH 404", "PUT 201"}; !slices.Equal(got, want) || r.nrf.Profile(instance) == nil {
			t.Errorf("got %v, want %v", got, want)
		}
		r.stop()
	})
}

// TestAnNRFThatIsAway is tried less and less often, and not more than once in half a minute for long.
func TestAnNRFThatIsAway(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		nrf := &nrftest.NRF{Heartbeat: 10 * time.Second}
		nrf.Lose(1 << 30)
		r := register(t, nrf)
		pass(time.Minute)
		first := len(nrf.Seen())
		pass(time.Hour)
		if n := len(nrf.Seen()) - first; first < 5 || first > 9 || n < 60 || n > 120 {
			t.Errorf("%d tries in the first minute, %d in an hour", first, n)
		}
		nrf.Lose(0)
		pass(time.Minute)
		if nrf.Profile(instance) == nil {
			t.Error("not registered when it is back")
		}
		if log := r.log.String(); strings.Count(log, "does not take the registration") != 1 || strings.Count(log, "registered at the NRF") != 1 {
			t.Errorf("the log says %s", log)
		}
		r.stop()
	})
}

// TestLostHeartbeats: one that is lost is made up for before the NRF gives the network function up.
func TestLostHeartbeats(t *testing.T) {
	for lost := range 5 {
		inBubble(t, func(t *testing.T) {
			r := register(t, &nrftest.NRF{Heartbeat: 10 * time.Second})
			r.nrf.Lose(lost)
			for range 60 {
				pass(time.Second)
				if r.nrf.Profile(instance) == nil {
					t.Fatalf("%d lost: it counts as gone: %v", lost, r.nrf.Seen())
				}
			}
			r.stop()
		})
	}
}

func TestAnNRFThatRefusesIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		nrf := new(nrftest.NRF)
		nrf.Refuse(2)
		r := register(t, nrf)
		pass(10 * time.Second)
		if got := nrf.Seen(); !slices.Equal(got[:3], []string{"PUT 503", "PUT 503", "PUT 201"}) {
			t.Errorf("got %v", got)
		}
		if !strings.Contains(r.log.String(), "it answers 503") {
			t.Errorf("the log says %s", r.log)
		}
		r.stop()
	})
}

// TestARestartUnderWay: requests are lost, everything is forgotten, and the first requests after that are lost as well.
func TestARestartUnderWay(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := register(t, &nrftest.NRF{Heartbeat: 4 * time.Second})
		for range 20 {
			r.nrf.Lose(3)
			pass(2 * time.Second)
			r.nrf.Restart()
			pass(2 * time.Minute)
			if r.nrf.Profile(instance) == nil {
				t.Fatalf("not registered: %v", r.nrf.Seen())
			}
		}
		r.stop()
	})
}

// TestARegistrationWhoseAnswerWasLostIsTakenBack: the NRF may have seen it.
func TestARegistrationWhoseAnswerWasLostIsTakenBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		nrf := new(nrftest.NRF)
		nrf.Lose(1)
		r := register(t, nrf)
		if nrf.Profile(instance) == nil {
			t.Fatal("the NRF did not see it")
		}
		r.stop()
		if nrf.Profile(instance) != nil || !slices.Equal(nrf.Seen(), []string{"PUT lost", "DELETE 204"}) {
			t.Errorf("got %v", nrf.Seen())
		}
	})
}

func TestAnNRFThatNeverAnswersDoesNotKeepTheServiceFromStopping(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := register(t, new(nrftest.NRF), func(r *eirfront.Registrar) { r.Transport = silent{} })
		begun := time.Now()
		r.stop()
		if took := time.Since(begun); took > 2*time.Second || !strings.Contains(r.log.String(), "could not be taken back") {
			t.Errorf("took %v: %s", took, r.log)
		}
	})
}

// TestIntervalsThatNoNRFMeans: they are bounded, and there is one without.
func TestIntervalsThatNoNRFMeans(t *testing.T) {
	for answer, want := range map[string]time.Duration{
		`{}`: 10 * time.Second, ``: 10 * time.Second, `{"heartBeatTimer":0}`: 10 * time.Second, `{"heartBeatTimer":-1}`: 10 * time.Second,
		`{"heartBeatTimer":"60"}`: 10 * time.Second, `{"heartBeatTimer":1}`: time.Second, `{"heartBeatTimer":60}`: time.Minute,
		`{"heartBeatTimer":9000000000000000000}`: time.Hour, `[`: 10 * time.Second,
	} {
		inBubble(t, func(t *testing.T) {
			var seen []time.Time
			nrf := roundTripper(func(r *http.Request) (*http.Response, error) {
				seen = append(seen, time.Now())
				w := httptest.NewRecorder()
				w.WriteHeader(http.StatusCreated)
				_, _ = w.WriteString(answer)
				return w.Result(), nil
			})
			r := register(t, nil, func(r *eirfront.Registrar) { r.Transport = nrf })
			pass(want)
			if len(seen) != 2 || seen[1].Sub(seen[0]) != want {
				t.Errorf("%s: at %v, want them %v apart", answer, seen, want)
			}
			r.stop()
		})
	}
}

func TestAnAddressThatIsNoneIsTold(t *testing.T) {
	for _, address := range []string{"", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:70000"} {
		r := &eirfront.Registrar{Root: "http://nrf.example", Transport: silent{}, Profile: eirfront.Profile{Instance: instance, Address: address}}
		if err := r.Run(t.Context()); err == nil {
			t.Errorf("%q was taken", address)
		}
	}
}

// TestRegistrationOverHTTP2: with TLS, and without.
func TestRegistrationOverHTTP2(t *testing.T) {
	asked := make(chan string, 16)
	nrf := &nrftest.NRF{Heartbeat: time.Second}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nrf.ServeHTTP(w, r)
		asked <- fmt.Sprint(r.Method, " ", r.Proto, " ", r.TLS != nil)
	})
	secured, roots := listenTLS(t, handler)
	for _, c := range []struct {
		root      string
		transport http.RoundTripper
		want      string
	}{
		{secured, &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots}}, " HTTP/2.0 true"},
		{listen(t, handler) + "/", h2c(t), " HTTP/2.0 false"},
	} {
		runUntilAsked(t, &eirfront.Registrar{Root: c.root, Transport: c.transport, Profile: eirfront.Profile{Instance: instance, Address: "127.0.0.1:1"},
			Log: slog.New(slog.DiscardHandler)}, asked, "PUT"+c.want, "PATCH"+c.want)
		if got := <-asked; got != "DELETE"+c.want {
			t.Errorf("got %s, want DELETE%s", got, c.want)
		}
	}
}

// runUntilAsked runs a registrar until the NRF was asked this.
func runUntilAsked(t *testing.T, r *eirfront.Registrar, asked <-chan string, wants ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	for _, want := range wants {
		if got := <-asked; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
