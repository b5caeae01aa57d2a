package radius

import (
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// batchSize is how many datagrams one system call takes in or sends out.
const batchSize = 32

// batch takes datagrams in and sends answers out, many in one system call. One reader has it.
type batch struct {
	conn    batchConn
	in      []ipv4.Message
	out     []ipv4.Message // the first pending ones are to be sent
	pending int
}

// batchConn is what ipv4.PacketConn and ipv6.PacketConn have in common.
type batchConn interface {
	ReadBatch(ms []ipv4.Message, flags int) (int, error)
	WriteBatch(ms []ipv4.Message, flags int) (int, error)
}

func newBatch(c *net.UDPConn) *batch {
	b := &batch{conn: ipv6.NewPacketConn(c), in: make([]ipv4.Message, batchSize), out: make([]ipv4.Message, batchSize)}
	if c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Is4() {
		b.conn = ipv4.NewPacketConn(c)
	}
	for i := range b.in {
		b.in[i].Buffers = [][]byte{make([]byte, maxPacket)}
		b.out[i].Buffers = [][]byte{make([]byte, 2*maxPacket)}
	}
	return b
}

// receive waits for datagrams and says how many there are.
func (b *batch) receive() (int, error) {
	b.pending = 0
	return b.conn.ReadBatch(b.in, 0)
}

func (b *batch) datagram(i int) ([]byte, netip.AddrPort) {
	source := b.in[i].Addr.(*net.UDPAddr).AddrPort()
	return b.in[i].Buffers[0][:b.in[i].N], netip.AddrPortFrom(source.Addr().Unmap(), source.Port())
}

// room is where the next answer may be made.
func (b *batch) room() []byte { return b.out[b.pending].Buffers[0][:0] }

// answer puts the answer to datagram i, made in room, among those to be sent.
func (b *batch) answer(i int, answer []byte) {
	m := &b.out[b.pending]
	m.Buffers[0], m.Addr = answer, b.in[i].Addr
	b.pending++
}

// send sends the answers. One that cannot be sent is left out; the others are not.
func (b *batch) send() error {
	var failed error
	for sent := 0; sent < b.pending; {
		n, err := b.conn.WriteBatch(b.out[sent:b.pending], 0)
		if err != nil {
			failed, n = err, 1
		}
		sent += n
	}
	return failed
}
