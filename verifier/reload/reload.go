// Package reload tells of changes of the files that a running program was configured by. Start with [Source.Watch].
package reload

import (
	"context"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settleTime is how long files must stay the same before they are taken: one may be half written, or one of several.
	settleTime = 100 * time.Millisecond
	// pollTime is for what sends no events: a network file system, or a folder that stands in the place of another. With
	// settleTime it stays below a second.
	pollTime = 500 * time.Millisecond
)

// Source is a part of a configuration: a folder, or a file.
type Source[T any] struct {
	// Folder is the one whose events announce a change: that of the file, or the folder itself. It is empty where so much else happens in
	// the folder that polling costs less.
	Folder string
	// Read returns what the source holds now.
	Read func() (T, error)
	// Digest tells two contents apart. It is never 0.
	Digest func(T) uint64
	// Use puts a content into force, or says why not; what was in force before then stays.
	Use func(T) error
	// Refused is told why a content is not used, or could not be read: once, as long as the cause stays the same.
	Refused func(error)
}

// Watch uses each new content within a second, until ctx is done. Digest is of the content that is in force at its beginning.
func (s Source[T]) Watch(ctx context.Context, digest uint64) {
	events := new(fsnotify.Watcher) // which has none: where the system can send none, polling does
	if s.Folder != "" {
		if w, err := fsnotify.NewWatcher(); err == nil {
			defer w.Close()
			events = w
			_ = w.Add(s.Folder) // likewise
		}
	}
	w := watcher[T]{Source: s, told: state{digest: digest}}
	next, soon := time.NewTimer(settleTime), true
	defer next.Stop()
	hurry := func() {
		if !soon {
			soon = true
			next.Reset(settleTime)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-events.Events:
			hurry()
		case <-events.Errors: // too many events at once, for one
			hurry()
		case <-next.C:
			if soon = w.look(); soon {
				next.Reset(settleTime)
			} else {
				next.Reset(pollTime)
			}
		}
	}
}

// watcher compares what a source holds with what was told of it.
type watcher[T any] struct {
	Source[T]
	seen, told state
	failure    string // told last; "" if the content was good
}

// state tells two contents apart.
type state struct {
	digest  uint64 // 0 if it could not be read
	failure string // of reading it
}

// look reads the source and tells of it once it was the same twice. It reports whether it wants to look again soon.
func (w *watcher[T]) look() bool {
	content, err := w.Read()
	now := state{}
	if err == nil {
		now.digest = w.Digest(content)
	} else {
		now.failure = err.Error()
	}
	switch {
	case now == w.told:
		w.seen = now
		return false
	case now != w.seen:
		w.seen = now
		return true
	}
	w.told = now
	if err == nil {
		err = w.Use(content)
	}
	w.tell(err)
	return false
}

// tell leaves out an error that was told already: a file that is being mended has the same fault for a while.
func (w *watcher[T]) tell(err error) {
	failure := ""
	if err != nil {
		failure = err.Error()
	}
	if err != nil && failure != w.failure {
		w.Refused(err)
	}
	w.failure = failure
}
