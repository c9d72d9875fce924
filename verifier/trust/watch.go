package trust

import (
	"context"
	"time"

	"github.com/fsnotify/fsnotify"

	"imei-attest/verifier"
)

const (
	// settleTime is how long a folder must stay the same before it is taken: a file may be half written, or one of several.
	settleTime = 100 * time.Millisecond
	// pollTime is for what sends no events: a network file system, or a folder that stands in the place of another. With
	// settleTime it stays below a second.
	pollTime = 500 * time.Millisecond
)

// Watch tells of each change of the folder from which trust was loaded, within a second, until ctx is done. It calls
// changed with what [Load] would return now; an error is told once, and what was trusted before still holds then.
func Watch(ctx context.Context, dir string, trust *verifier.Trust, changed func(*verifier.Trust, []*verifier.Anchor, error)) {
	events := new(fsnotify.Watcher) // which has none: where the system can send none, polling does
	if w, err := fsnotify.NewWatcher(); err == nil {
		defer w.Close()
		events = w
		_ = w.Add(dir) // likewise
	}
	w := watcher{dir: dir, changed: changed, told: state{generation: trust.Generation}}
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

// watcher compares what a folder holds with what was told of it.
type watcher struct {
	dir        string
	changed    func(*verifier.Trust, []*verifier.Anchor, error)
	seen, told state
	failure    string // told last; "" if the folder was good
}

// state tells two contents of a folder apart.
type state struct {
	generation uint64 // 0 if it could not be read
	failure    string // of reading it
}

// look reads the folder and tells of it once it was the same twice. It reports whether it wants to look again soon.
func (w *watcher) look() bool {
	files, err := read(w.dir)
	now := state{}
	if err == nil {
		now.generation = generation(files)
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
	if err != nil {
		w.tell(nil, nil, err)
	} else {
		w.tell(parse(files))
	}
	return false
}

// tell leaves out an error that was told already: a file that is being mended has the same fault for a while.
func (w *watcher) tell(trust *verifier.Trust, anchors []*verifier.Anchor, err error) {
	failure := ""
	if err != nil {
		failure = err.Error()
	}
	if err == nil || failure != w.failure {
		w.changed(trust, anchors, err)
	}
	w.failure = failure
}
