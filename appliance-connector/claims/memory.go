package claims

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/maphash"
	"sync"
	"time"
)

// state is how a claim stands in memory after enter.
type state uint8

const (
	open  state = iota // nobody else has it: go on and ask
	taken              // somebody else has it
	won                // this owner has it already
	full               // no room
)

// What is known of the owner in an entry.
const (
	pending uint8 = 1 << iota // a claim made here is being settled
	settled                   // the owner has won, here or at a peer
	granted                   // a peer was told that it may have it
	shared                    // two peers were told so, for one owner
)

// nobody is the owner of a key that the cloud says is taken.
var nobody id

// memory holds the claims this appliance knows of. It is bounded and forgets a claim when its time
// has passed. Each change is one step under the lock of the key's shard; contest.go relies on that.
type memory struct {
	seed   maphash.Seed
	shards [64]shard
}

type shard struct {
	mu       sync.Mutex
	capacity int
	entries  map[id]entry
	lost     map[id]id // by key: the owner here that gave way or was refused; it never wins again
	queue    expiries
	_        [32]byte // keeps the locks of two shards on two cache lines
}

type entry struct {
	owner   id
	expires uint32 // Unix seconds, rounded up
	by      uint32 // which peer it was granted to; 0: none
	flags   uint8
}

func newMemory(capacity int) *memory {
	m := &memory{seed: maphash.MakeSeed()}
	for i := range m.shards {
		s := &m.shards[i]
		s.capacity = max(1, capacity/len(m.shards))
		s.entries = make(map[id]entry)
		s.lost = make(map[id]id)
	}
	return m
}

// shard picks by a seeded hash, so that nobody outside can fill one shard only.
func (m *memory) shard(key id) *shard {
	return &m.shards[maphash.Bytes(m.seed, key[:])%uint64(len(m.shards))]
}

// enter begins a claim made here.
func (m *memory) enter(key, owner id, now time.Time, ttl time.Duration) state {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, known := s.get(key, now)
	switch {
	case !known:
		if !s.add(key, entry{owner: owner, flags: pending, expires: deadline(now, ttl)}, now) {
			return full
		}
		return open
	case e.owner != owner || s.lost[key] == owner:
		return taken
	case e.flags&settled != 0:
		return won
	}
	e.flags |= pending
	s.entries[key] = e
	return open
}

// take is enter and win in one step, for an appliance that decides alone.
func (m *memory) take(key, owner id, now time.Time, ttl time.Duration) state {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, known := s.get(key, now)
	switch {
	case !known:
		if !s.add(key, entry{owner: owner, flags: settled, expires: deadline(now, ttl)}, now) {
			return full
		}
		return won
	case e.owner != owner:
		return taken
	}
	return won
}

// win ends a claim made here well, unless the key was given away meanwhile.
func (m *memory) win(key, owner id) bool {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, known := s.entries[key]
	if !known || e.owner != owner || s.lost[key] == owner {
		return false
	}
	e.flags |= settled
	s.entries[key] = e
	return true
}

// lose ends a claim made here badly; to is who has the key, as far as known, or nobody.
func (m *memory) lose(key, owner, to id) {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, known := s.entries[key]
	if !known || e.owner != owner || e.flags&settled != 0 {
		return
	}
	s.lost[key] = owner
	if e.flags&granted != 0 {
		e.flags &^= pending // a peer claims as the same owner and was promised the key
	} else {
		e.owner, e.flags = to, 0
	}
	s.entries[key] = e
}

// grantRequest is a peer's claim as memory sees it.
type grantRequest struct {
	key, owner id
	from       uint32 // the peer
	precedes   bool   // it wins a tie against this appliance
	yielded    []yield
	ttl        time.Duration
}

// yield says that owner, claiming at the appliance by, has given up for good.
type yield struct {
	owner id
	by    uint32
}

// grantResult: given, or the owner who has the key and whether that is final. lost is the owner here
// that has given up.
type grantResult struct {
	given  bool
	holder id
	final  bool
	lost   id
}

// grant answers a peer. What is given here cannot be won here by anybody else any more.
func (m *memory) grant(r grantRequest, now time.Time) grantResult {
	s := m.shard(r.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, known := s.get(r.key, now)
	fresh := entry{owner: r.owner, flags: granted, by: r.from, expires: deadline(now, r.ttl)}
	switch {
	case !known:
		if !s.add(r.key, fresh, now) {
			return grantResult{holder: nobody, final: true}
		}
	case e.owner == r.owner:
		if e.flags&granted != 0 && e.by != r.from {
			e.flags |= shared
		}
		e.flags |= granted
		e.by = r.from
		s.entries[r.key] = e
	case e.owner == nobody || e.flags&(settled|shared) != 0:
		return grantResult{holder: e.owner, final: true}
	case e.flags == pending && r.precedes:
		s.lost[r.key] = e.owner
		s.entries[r.key] = fresh
	case e.flags&pending == 0 && e.givenUp(r.yielded):
		s.entries[r.key] = fresh
	default:
		return grantResult{holder: e.owner}
	}
	return grantResult{given: true, lost: s.lost[r.key]}
}

// givenUp reports whether the owner is known to have given up, at the peer that it was granted to. An
// entry without a peer is hearsay: nothing was promised.
func (e entry) givenUp(yielded []yield) bool {
	for _, y := range yielded {
		if y.owner == e.owner && (e.flags&granted == 0 || e.by == y.by) {
			return true
		}
	}
	return false
}

// note takes down that a peer has won. It reports false when another owner had won here before: the
// network was in pieces, and the thing was used twice.
func (m *memory) note(key, owner id, now time.Time, ttl time.Duration) bool {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, known := s.get(key, now)
	if !known {
		s.add(key, entry{owner: owner, flags: settled, expires: deadline(now, ttl)}, now)
		return true
	}
	if e.flags&settled != 0 {
		return e.owner == owner
	}
	if e.owner != owner && e.flags&pending != 0 {
		s.lost[key] = e.owner
	}
	e.owner, e.flags = owner, settled
	s.entries[key] = e
	return true
}

// size is how many claims are remembered.
func (m *memory) size() int {
	n := 0
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		n += len(s.entries)
		s.mu.Unlock()
	}
	return n
}

func deadline(now time.Time, ttl time.Duration) uint32 {
	return uint32(now.Add(ttl + time.Second - 1).Unix())
}

func (s *shard) get(key id, now time.Time) (entry, bool) {
	e, ok := s.entries[key]
	if ok && int64(e.expires) <= now.Unix() {
		s.remove(key)
		return entry{}, false
	}
	return e, ok
}

func (s *shard) remove(key id) {
	delete(s.entries, key)
	delete(s.lost, key)
}

// add stores a new entry, after forgetting two that have expired: so memory shrinks as fast as it
// grew, and no step takes long.
func (s *shard) add(key id, e entry, now time.Time) bool {
	for range 2 {
		s.forgetOldest(now)
	}
	if len(s.entries) >= s.capacity || s.queue.len() >= 2*s.capacity {
		return false
	}
	s.entries[key] = e
	s.queue.push(expiry{key: key, at: e.expires})
	return true
}

func (s *shard) forgetOldest(now time.Time) {
	x, ok := s.queue.peek()
	if !ok || int64(x.at) > now.Unix() {
		return
	}
	s.queue.pop()
	if e, ok := s.entries[x.key]; ok && int64(e.expires) <= now.Unix() {
		s.remove(x.key)
	}
}

// expiries is a queue in the order of arrival. A long-lived entry in front holds back shorter ones
// behind it, by MaxTTL at most.
type expiries struct {
	items []expiry
	head  int
}

type expiry struct {
	key id
	at  uint32
}

func (q *expiries) len() int { return len(q.items) - q.head }

func (q *expiries) peek() (expiry, bool) {
	if q.len() == 0 {
		return expiry{}, false
	}
	return q.items[q.head], true
}

func (q *expiries) pop() { q.head++ }

func (q *expiries) push(x expiry) {
	if q.head > 64 && q.head*2 > len(q.items) {
		n := copy(q.items, q.items[q.head:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, x)
}

// refuse takes down that the cloud holds the key for somebody, when nothing else is known.
func (m *memory) refuse(key id, now time.Time, ttl time.Duration) {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.get(key, now); !known {
		s.add(key, entry{owner: nobody, expires: deadline(now, ttl)}, now)
	}
}

// short is an appliance's id in the four octets that memory keeps; never 0.
func short(name string) uint32 {
	sum := sha256.Sum256([]byte(name))
	return binary.BigEndian.Uint32(sum[:]) | 1
}
