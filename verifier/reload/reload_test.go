package reload_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"imei-attest/verifier/reload"
)

// source is one in memory, whose contents are words. Those that begin with "bad" are not used; "gone" cannot be read.
type source struct {
	mu   sync.Mutex
	word string
	told chan string
}

func (s *source) set(word string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.word = word
}

func (s *source) read() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.word == "gone" {
		return "", errors.New("gone")
	}
	return s.word, nil
}

func (s *source) use(word string) error {
	if len(word) >= 3 && word[:3] == "bad" {
		return errors.New("bad")
	}
	s.told <- word
	return nil
}

func digest(word string) uint64 {
	sum := uint64(1)
	for _, b := range []byte(word) {
		sum = sum*257 + uint64(b)
	}
	return sum
}

// TestContentsAreUsedAndFaultsToldOnce, where no folder announces a change: then it is looked at twice a second.
func TestContentsAreUsedAndFaultsToldOnce(t *testing.T) {
	for name, folder := range map[string]string{"a folder that does not exist": t.TempDir() + "/absent", "no folder": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			usesAndTells(t, folder)
		})
	}
}

func usesAndTells(t *testing.T, folder string) {
	t.Helper()
	s := &source{word: "first", told: make(chan string, 10)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		reload.Source[string]{Folder: folder, Read: s.read, Digest: digest, Use: s.use,
			Refused: func(err error) { s.told <- "refused: " + err.Error() }}.Watch(ctx, digest("first"))
	}()
	for _, c := range []struct{ word, want string }{
		{"second", "second"}, {"bad", "refused: bad"}, {"bad still", ""}, {"second", "second"}, {"bad", "refused: bad"},
		{"gone", "refused: gone"}, {"third", "third"},
	} {
		s.set(c.word)
		if c.want == "" {
			time.Sleep(time.Second)
			continue
		}
		const patience = 20 * time.Second
		select {
		case got := <-s.told:
			if got != c.want {
				t.Fatalf("%s: told %q, want %q", c.word, got, c.want)
			}
		case <-time.After(patience):
			t.Fatalf("%s: nothing was told", c.word)
		}
	}
	cancel()
	<-ended
	if len(s.told) > 0 {
		t.Errorf("told besides: %q", <-s.told)
	}
}
