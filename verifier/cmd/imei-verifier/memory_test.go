package main

import (
	"context"
	"runtime/debug"
	"testing"
	"time"
)

func settings() (percent int, limit int64) {
	percent = debug.SetGCPercent(100)
	debug.SetGCPercent(percent)
	return percent, debug.SetMemoryLimit(-1)
}

func TestGarbageHasRoomWhileTheServiceRuns(t *testing.T) {
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	percent, limit := settings()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { giveRoom(ctx); close(ended) }()
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		if p, l := settings(); p == roomPercent && l == heapRoom {
			break
		} else if time.Since(begun) > 10*time.Second {
			t.Fatalf("%d %%, limit %d", p, l)
		}
	}
	stop()
	<-ended
	if p, l := settings(); p != percent || l != limit {
		t.Errorf("afterwards %d %%, limit %d; before %d %%, %d", p, l, percent, limit)
	}
}

func TestWhoeverSetsTheCollectorDecides(t *testing.T) {
	percent, limit := settings()
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "100")
			giveRoom(t.Context()) // returns at once
			if p, l := settings(); p != percent || l != limit {
				t.Errorf("%d %%, limit %d; want %d %%, %d", p, l, percent, limit)
			}
		})
	}
}
