package diameterfront

import (
	"net"
	"sync"
	"time"
)

// maxWaiting is how much may wait for a peer that reads slowly. It is what a full house of questions is answered with.
const maxWaiting = 1 << 20

// outbox writes answers in the order in which they are sent, as many at once as have come together meanwhile.
type outbox struct {
	conn net.Conn

	mu      sync.Mutex
	more    sync.Cond
	waiting []byte
	closed  bool
	failed  error // of writing
}

func newOutbox(conn net.Conn) *outbox {
	o := &outbox{conn: conn}
	o.more.L = &o.mu
	return o
}

// send appends a message to what is written next. The error tells that the peer gets no more.
func (o *outbox) send(message func([]byte) []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.failed != nil:
		return o.failed
	case o.closed:
		return net.ErrClosed
	case len(o.waiting) > maxWaiting:
		o.failed = errNotRead
		_ = o.conn.Close()
		return errNotRead
	}
	if o.waiting = message(o.waiting); len(o.waiting) > 0 {
		o.more.Signal()
	}
	return nil
}

// write writes what is sent, until the box is closed and empty, or a write fails.
func (o *outbox) write() {
	var writing []byte
	for {
		o.mu.Lock()
		for len(o.waiting) == 0 && !o.closed {
			o.more.Wait()
		}
		writing, o.waiting = o.waiting, writing[:0]
		o.mu.Unlock()
		if len(writing) == 0 {
			return
		}
		_ = o.conn.SetWriteDeadline(time.Now().Add(writeTime)) // a connection that is gone says so when it is written to
		if _, err := o.conn.Write(writing); err != nil {
			o.fail(err)
			return
		}
	}
}

// fail lets nothing more be sent, and wakes the reader, who ends the link.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	o.failed = err
	o.mu.Unlock()
	_ = o.conn.Close()
}

// close lets nothing more be sent; what waits is still written.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.more.Signal()
}
