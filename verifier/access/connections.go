package access

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"sync"
)

// Connections bounds how many connections are open. When one more comes, the one is closed that for the longest time has asked
// nothing, or has not finished asking: who connects and is slow makes room for who is not.
type Connections struct {
	net.Listener
	most   int
	closed func(Limit)

	mu      sync.Mutex
	waiting list.List // of *connection, the one that waits longest in front
	open    int
}

// NewConnections bounds a listener. Closed is told of each connection that was closed for another.
func NewConnections(l net.Listener, most int, closed func(Limit)) *Connections {
	return &Connections{Listener: l, most: most, closed: closed}
}

// Accept implements net.Listener.
func (c *Connections) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	own := &connection{Conn: conn, of: c}
	c.mu.Lock()
	var loser *connection
	if front := c.waiting.Front(); c.open >= c.most && front != nil {
		loser = front.Value.(*connection)
		loser.leave()
	}
	c.open++
	own.waits = c.waiting.PushBack(own)
	c.mu.Unlock()
	if loser != nil {
		c.closed(LimitConnections)
		_ = loser.Conn.Close()
	}
	return own, nil
}

// Open is how many connections are open.
func (c *Connections) Open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

// connection is one that is counted.
type connection struct {
	net.Conn
	of       *Connections
	gone     bool
	answered int           // requests; in HTTP/2 there may be several
	waits    *list.Element // nil while there is one
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.of.mu.Lock()
	c.leave()
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// leave ends the counting, once.
func (c *connection) leave() {
	if c.gone {
		return
	}
	c.gone = true
	c.of.open--
	if c.waits != nil {
		c.of.waiting.Remove(c.waits)
		c.waits = nil
	}
}

type connectionKey struct{}

// Context is for http.Server.ConnContext.
func (c *Connections) Context(ctx context.Context, conn net.Conn) context.Context {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	return context.WithValue(ctx, connectionKey{}, conn)
}

// Settle marks the connection of a request as one that is answered, until the function that it returns is called.
func Settle(ctx context.Context) func() {
	c, ok := ctx.Value(connectionKey{}).(*connection)
	if !ok {
		return func() {}
	}
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.answered++
	if c.waits != nil {
		c.of.waiting.Remove(c.waits)
		c.waits = nil
	}
	return c.wait
}

// wait marks the connection as one that waits for a request, once all that it had are answered.
func (c *connection) wait() {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if c.answered--; c.answered == 0 && !c.gone {
		c.waits = c.of.waiting.PushBack(c)
	}
}
