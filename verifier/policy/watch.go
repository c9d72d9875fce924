package policy

import (
	"context"
	"encoding/binary"
	"path/filepath"
	"time"

	"imei-attest/verifier"
	"imei-attest/verifier/reload"
)

// Watch tells of each change of the file from which a policy was loaded, within a second, until ctx is done. It calls changed
// with what [Load] would return now; an error is told once, and the policy of before still holds then.
func Watch(ctx context.Context, path string, p *verifier.Policy, now func() time.Time, changed func(*verifier.Policy, []string, error)) {
	file := reload.Source[[]byte]{
		Folder: filepath.Dir(path),
		Read:   func() ([]byte, error) { return read(path) },
		Digest: func(text []byte) uint64 { return number(digest(text)) },
		Use: func(text []byte) error {
			p, warnings, err := parseFile(path, text, now())
			if err == nil {
				changed(p, warnings, nil)
			}
			return err
		},
		Refused: func(err error) { changed(nil, nil, err) },
	}
	file.Watch(ctx, number(p.Digest))
}

func number(digest [32]byte) uint64 { return max(1, binary.BigEndian.Uint64(digest[:])) }
