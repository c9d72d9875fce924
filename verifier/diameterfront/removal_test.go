package diameterfront_test

import (
	"net"
	"sync/atomic"
	"testing"

	"imei-attest/verifier/diameterfront"
)

// tapped is a connection that tells when it is asked a second time where it comes from: when its capabilities are looked at.
type tapped struct {
	net.Conn
	looked func()
	looks  atomic.Int32
}

func (c *tapped) RemoteAddr() net.Addr {
	if c.looks.Add(1) == 2 {
		c.looked()
	}
	return c.Conn.RemoteAddr()
}

// tap accepts connections that are tapped.
type tap struct {
	net.Listener
	looked func()
}

func (l tap) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &tapped{Conn: conn, looked: l.looked}, nil
}

// TestAPeerThatIsTakenOffWhileItIsAdmitted is not heard.
func TestAPeerThatIsTakenOffWhileItIsAdmitted(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var f atomic.Pointer[front]
	f.Store(serveOn(t, tap{l, func() { f.Load().SetPeers([]diameterfront.Peer{{Host: "dra.example", Addresses: loopback}}) }}, newOperator(t, "observe")))
	c := f.Load().dial()
	c.send(capabilities(mme))
	c.isClosed()
}
