package pushsim

import (
	"net"
	"sync"
	"sync/atomic"
)

// freezer is a listener whose connections can go dead without being closed.
type freezer struct {
	net.Listener

	mu    sync.Mutex
	conns []*freezable
}

func (f *freezer) Accept() (net.Conn, error) {
	c, err := f.Listener.Accept()
	if err != nil {
		return nil, err
	}
	fc := &freezable{Conn: c}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns = append(f.conns, fc)
	return fc, nil
}

func (f *freezer) freeze() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		c.frozen.Store(true)
	}
}

func (f *freezer) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns)
}

type freezable struct {
	net.Conn
	frozen atomic.Bool
}

func (c *freezable) Write(b []byte) (int, error) {
	if c.frozen.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}
