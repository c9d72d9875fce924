package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Garbage is collected when the heap is five times what is alive, up to heapRoom, and beyond that when it is twice that, as Go has it
// by itself. So little is alive of a service at work that it would be collected several times a second otherwise, a tenth of its
// processor time.
const (
	heapRoom    = 96 << 20
	roomPercent = 400
)

// giveRoom holds to that until ctx is done. Whoever sets GOGC or GOMEMLIMIT decides it himself.
func giveRoom(ctx context.Context) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	percent, limit := debug.SetGCPercent(roomPercent), debug.SetMemoryLimit(heapRoom)
	defer debug.SetGCPercent(percent)
	defer debug.SetMemoryLimit(limit)
	alive := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			metrics.Read(alive)
			debug.SetMemoryLimit(max(heapRoom, 2*int64(alive[0].Value.Uint64())))
		}
	}
}
