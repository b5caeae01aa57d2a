package radius

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// cacheKey is source address and port, identifier and authenticator (RFC 5080 section 2.2.2), and a
// hash of the packet: should a gateway use an authenticator twice, another password is still another
// request. An array without gaps hashes fastest.
type cacheKey [16 + 2 + 1 + authSize + 8]byte

func (c *replyCache) key(source netip.AddrPort, r *request) (k cacheKey) {
	a := source.Addr().As16()
	copy(k[:], a[:])
	binary.LittleEndian.PutUint16(k[16:], source.Port())
	k[18] = r.raw[1]
	copy(k[19:], r.authenticator())
	binary.LittleEndian.PutUint64(k[19+authSize:], maphash.Bytes(c.seed, r.raw))
	return k
}

// shard spreads entries by packet and by source: one packet from many sources must not crowd out a sixteenth of the others.
func (k *cacheKey) shard() uint64 {
	return binary.LittleEndian.Uint64(k[19+authSize:]) + uint64(binary.LittleEndian.Uint16(k[16:])) + uint64(k[15])
}

// replyCache remembers requests being verified and the answers given, for the time a gateway may
// repeat itself. When it is full the oldest goes first, so it is bounded under any load.
type replyCache struct {
	seed   maphash.Seed
	window int64 // nanoseconds
	shards [16]replyShard
}

// replyShard keeps its entries in a ring in the order of arrival, which is the order in which they
// expire. An entry is known by its sequence number; the ring grows to capacity as needed.
type replyShard struct {
	mu       sync.Mutex
	index    map[cacheKey]uint64
	ring     []reply
	head     uint64 // sequence number of the oldest entry
	tail     uint64 // of the next
	capacity int
	_        [32]byte // keeps the locks of two shards on two cache lines
}

type reply struct {
	key     cacheKey
	expires int64
	octets  []byte // empty while being verified; the room is used again
	dropped bool
}

// place is where an entry stands: what begin gives and finish takes.
type place struct {
	shard *replyShard
	seq   uint64
}

func newReplyCache(capacity int, window time.Duration) *replyCache {
	c := &replyCache{seed: maphash.MakeSeed(), window: int64(window)}
	for i := range c.shards {
		c.shards[i].capacity = ceilPowerOf2(max(1, capacity/len(c.shards)))
		c.shards[i].index = make(map[cacheKey]uint64)
	}
	return c
}

func ceilPowerOf2(n int) int {
	p := 1
	for p < n {
		p *= 2
	}
	return p
}

type seen uint8

const (
	seenNever   seen = iota // now entered; finish or drop must follow
	seenWaiting             // being verified
	seenDone                // answered: the answer was appended to out
)

// begin looks a request up and enters it when it is new. early reports that an entry younger than the
// window had to go to make room.
func (c *replyCache) begin(k cacheKey, now time.Time, out []byte) (what seen, answer []byte, at place, early bool) {
	s := &c.shards[k.shard()%uint64(len(c.shards))]
	t := now.UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(t)
	if seq, found := s.index[k]; found {
		e := s.at(seq)
		switch {
		case e.expires <= t: // behind others that expire step by step
			e.dropped = true
			delete(s.index, k)
		case len(e.octets) == 0:
			return seenWaiting, out, place{}, false
		default:
			return seenDone, append(out, e.octets...), place{}, false
		}
	}
	early = s.room()
	e := s.at(s.tail)
	e.key, e.expires, e.octets, e.dropped = k, t+c.window, e.octets[:0], false
	s.index[k] = s.tail
	s.tail++
	return seenNever, out, place{s, s.tail - 1}, early
}

// finish stores the answer. An entry that had to make room meanwhile is gone.
func (p place) finish(answer []byte) {
	p.shard.mu.Lock()
	defer p.shard.mu.Unlock()
	if p.seq >= p.shard.head {
		e := p.shard.at(p.seq)
		e.octets = append(e.octets[:0], answer...)
	}
}

// drop forgets the request: its repetition will be verified.
func (p place) drop() {
	p.shard.mu.Lock()
	defer p.shard.mu.Unlock()
	if p.seq >= p.shard.head {
		e := p.shard.at(p.seq)
		e.dropped = true
		delete(p.shard.index, e.key)
	}
}

func (s *replyShard) at(seq uint64) *reply { return &s.ring[seq&uint64(len(s.ring)-1)] }

func (s *replyShard) expire(now int64) {
	for range 2 { // two for one new entry: shrinks as fast as it grew, and no step takes long
		if s.head == s.tail || s.at(s.head).expires > now {
			return
		}
		s.pop()
	}
}

func (s *replyShard) pop() {
	e := s.at(s.head)
	if !e.dropped {
		delete(s.index, e.key)
	}
	if cap(e.octets) > 512 {
		e.octets = nil
	}
	s.head++
}

// room makes room for one entry, and reports whether one that had not expired had to go.
func (s *replyShard) room() (early bool) {
	used := int(s.tail - s.head)
	if used < len(s.ring) {
		return false
	}
	if len(s.ring) == s.capacity {
		s.pop()
		return true
	}
	old := s.ring
	s.ring = make([]reply, max(min(64, s.capacity), 2*len(old)))
	for seq := s.head; seq < s.tail; seq++ {
		*s.at(seq) = old[seq&uint64(len(old)-1)]
	}
	return false
}
