package sqlite

import (
	"context"
	"sync"

	"imei-attest/attest/imei"
	"imei-attest/verifier"
)

// viewer is a subscriber in one access.
type viewer struct {
	subscriber verifier.Pseudonym // the current one
	access     verifier.Access
}

type preparedView struct {
	verifier.View
	device, subscriber verifier.Alias
}

func (s *Store) prepareView(w *verifier.View) *preparedView {
	if w == nil {
		return nil
	}
	return &preparedView{*w, s.names.Device(w.IMEI), s.names.Subscriber(w.Subscriber)}
}

func (w *preparedView) viewer() viewer { return viewer{w.subscriber.Current, w.Access} }

// unwritten are the views of notes on their way: nobody waits for the disk, and whoever asks meanwhile is told them. Its zero value is empty.
type unwritten struct {
	mu    sync.RWMutex
	views map[viewer]*preparedView
}

func (u *unwritten) put(w *preparedView) {
	if w == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.views == nil {
		u.views = make(map[viewer]*preparedView)
	}
	u.views[w.viewer()] = w
}

func (u *unwritten) get(of viewer) *preparedView {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.views[of]
}

// drop is called when the view is on the disk, or lost.
func (u *unwritten) drop(w *preparedView) {
	if w == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.views[w.viewer()] == w {
		delete(u.views, w.viewer())
	}
}

// Viewed implements verifier.Store.
func (s *Store) Viewed(_ context.Context, subscriber string, in verifier.Access, id imei.IMEI) (verifier.Viewed, error) {
	device, by := s.names.Device(id), s.names.Subscriber(subscriber)
	if w := s.unwritten.get(viewer{by.Current, in}); w != nil {
		if w.IMEI.IsZero() {
			return verifier.Viewed{}, nil
		}
		return verifier.Viewed{Since: w.Since.UTC(), At: w.At.UTC(), Same: w.IMEI == id}, nil
	}
	var name []byte
	var since, at int64
	for _, who := range []verifier.Pseudonym{by.Current, by.Former} {
		if who == (verifier.Pseudonym{}) {
			continue
		}
		found, err := s.reads.row(`SELECT device, since, at FROM views WHERE subscriber = ? AND access = ?`, []any{who[:], int64(in)}, &name, &since, &at)
		if err != nil || found {
			return verifier.Viewed{Since: fromNanos(since), At: fromNanos(at), Same: found && device.Is(verifier.Pseudonym(name))}, fault("reading a view", err)
		}
	}
	return verifier.Viewed{}, nil
}

// view keeps what a subscriber shows in the place of what he showed, under whichever name.
func (w *writer) view(v *preparedView) error {
	if v == nil {
		return nil
	}
	if v.IMEI.IsZero() || v.subscriber.Former != (verifier.Pseudonym{}) {
		_, err := w.exec(`DELETE FROM views WHERE subscriber IN (?, ?) AND access = ?`, v.subscriber.Current[:], v.subscriber.Former[:], int64(v.Access))
		if err != nil || v.IMEI.IsZero() {
			return err
		}
	}
	_, err := w.exec(`INSERT INTO views (subscriber, access, device, key, subkey, since, at) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (subscriber, access) DO UPDATE SET device = excluded.device, key = excluded.key, since = excluded.since, at = excluded.at`,
		v.subscriber.Current[:], int64(v.Access), v.device.Current[:], w.keys.devices, w.keys.subscribers, nanos(v.Since), nanos(v.At))
	return err
}
