package trust

import (
	"context"

	"imei-attest/verifier"
	"imei-attest/verifier/reload"
)

// Watch tells of each change of the folder from which trust was loaded, within a second, until ctx is done. It calls
// changed with what [Load] would return now; an error is told once, and what was trusted before still holds then.
func Watch(ctx context.Context, dir string, trust *verifier.Trust, changed func(*verifier.Trust, []*verifier.Anchor, error)) {
	folder := reload.Source[[]written]{
		Folder: dir,
		Read:   func() ([]written, error) { return read(dir) },
		Digest: generation,
		Use: func(files []written) error {
			now, anchors, err := parse(files)
			if err == nil {
				changed(now, anchors, nil)
			}
			return err
		},
		Refused: func(err error) { changed(nil, nil, err) },
	}
	folder.Watch(ctx, trust.Generation)
}
