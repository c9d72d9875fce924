package sqlite

import (
	"fmt"

	"imei-attest/verifier"
)

// keyIDs name the current keys in rows.
type keyIDs struct{ devices, subscribers uint32 }

// enterKeys compares the keys with those that the store was last written under, and writes down a change.
func (w *writer) enterKeys() error {
	c := &w.store.config
	for _, k := range []struct {
		kind string
		keys *verifier.PseudonymKeys
		id   *uint32
	}{{"IMEIs", &c.Devices, &w.keys.devices}, {"subscribers", &c.Subscribers, &w.keys.subscribers}} {
		*k.id = k.keys.Current.ID()
		var was uint32
		found, err := w.row(`SELECT value FROM meta WHERE name = ?`, []any{"key of " + k.kind}, &was)
		if err != nil {
			return err
		}
		if found && was == *k.id {
			continue
		}
		if found && (k.keys.Former == nil || k.keys.Former.ID() != was) {
			return fmt.Errorf("the key for %s is %08x and was %08x: %w", k.kind, *k.id, was, ErrKeys)
		}
		if err := w.setMeta("key of "+k.kind, int64(*k.id)); err != nil {
			return err
		}
		if found {
			text := fmt.Sprintf("the key for %s is %08x and was %08x", k.kind, *k.id, was)
			if err := w.appendEvent(Event{Kind: KeysChanged, Text: text, At: w.chain.at}); err != nil {
				return err
			}
		}
	}
	return nil
}

// setMeta keeps a number, or bytes.
func (w *writer) setMeta(name string, value any) error {
	_, err := w.exec(`INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	return err
}

// rename gives what a decision touches its current names, while a key is exchanged. What has both is what was seen since under the
// current one.
func (w *writer) rename(d *decision) error {
	for _, device := range append(d.held, d.shown) {
		if err := w.renameDevice(device); err != nil {
			return err
		}
	}
	if s := d.sighting; s != nil {
		if err := w.renameDevice(s.device); err != nil {
			return err
		}
		return w.renameSubscriber(s.device, s.subscriber)
	}
	return w.renameSubscriber(d.shown, d.by)
}

func (w *writer) renameDevice(device verifier.Alias) error {
	if device.Former == (verifier.Pseudonym{}) {
		return nil
	}
	for _, table := range []string{"holders", "sightings", "days", "priors", "claims"} {
		if _, err := w.exec(`UPDATE OR IGNORE `+table+` SET device = ?, key = ? WHERE device = ?`, device.Current[:], w.keys.devices, device.Former[:]); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) renameSubscriber(device, subscriber verifier.Alias) error {
	if subscriber.Former == (verifier.Pseudonym{}) {
		return nil
	}
	for _, table := range []string{"days", "priors"} {
		_, err := w.exec(`UPDATE OR IGNORE `+table+` SET subscriber = ?, subkey = ? WHERE device = ? AND subscriber = ?`,
			subscriber.Current[:], w.keys.subscribers, device.Current[:], subscriber.Former[:])
		if err != nil {
			return err
		}
	}
	return nil
}
