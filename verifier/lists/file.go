package lists

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"imei-attest/verifier/reload"
)

// Load reads the list in a file.
func Load(path string) (*List, error) {
	stamp, err := stampOf(path) // before it is read: what is written meanwhile is noticed
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the list: %w", err)
	}
	defer f.Close()
	hash := sha256.New()
	l, err := Read(io.TeeReader(f, hash))
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", path, err)
	}
	l.stamp, l.Digest = stamp, [32]byte(hash.Sum(nil))
	return l, nil
}

// stampOf tells whether a file was written since: a list is too long to be read each time.
func stampOf(path string) (uint64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, fmt.Errorf("reading the list: %w: a file with the line %s alone lists nothing", err, Header)
	}
	written := []int64{info.Size(), info.ModTime().UnixNano(), 0}
	if of, ok := info.Sys().(*syscall.Stat_t); ok {
		written[2] = int64(of.Ino)
	}
	bytes, _ := binary.Append(nil, binary.BigEndian, written)
	sum := sha256.Sum256(bytes)
	return max(1, binary.BigEndian.Uint64(sum[:])), nil
}

// Watch tells of each change of the file from which a list was loaded, within a second, until ctx is done. It calls use with what [Load]
// would return now, and refused, once, with why that is not used: what use says, or what is wrong with the file.
func Watch(ctx context.Context, path string, l *List, use func(*List) error, refused func(error)) {
	file := reload.Source[uint64]{
		Folder: filepath.Dir(path),
		Read:   func() (uint64, error) { return stampOf(path) },
		Digest: func(stamp uint64) uint64 { return stamp },
		Use: func(uint64) error {
			now, err := Load(path)
			if err != nil {
				return err
			}
			return use(now)
		},
		Refused: refused,
	}
	file.Watch(ctx, l.stamp)
}
