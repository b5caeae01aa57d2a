// Package claims settles that a thing is used once in the whole enterprise: a gateway token, a
// sealed password. Whoever claims a key first, of all appliances, is told so; everybody else is told
// that it is taken. It never learns what a key stands for.
//
// A claim is settled by the first of these that can:
//
//  1. this appliance's own memory: taken here is taken;
//  2. the cloud, through the tunnel, which holds the claims of the whole enterprise;
//  3. the peers: the other appliances of the enterprise, asked all at once over the local network. A
//     peer that still reaches the cloud claims there for the asker; the others look into their memory;
//  4. nobody else: with the cloud and every peer out of reach the appliance decides by itself.
//
// Out of reach is who has said nothing for seconds. A cloud or a peer that is slow, or an appliance
// that has too much to do, is no reason to decide alone: such a claim fails.
//
// The last is a choice. A thing could be used once on each side of a network that has fallen apart;
// in return a hospital whose lines are cut still lets its staff in. What could be used twice is
// something that is valid for a minute, for one user, at one gateway. It is logged every time.
//
// An appliance that has won tells its peers afterwards, without being asked, so that one that is cut
// off from the cloud later refuses what was used before.
//
// Every claim has an owner: the value that tells a repetition from a competitor. Whoever has won and
// asks again as the same owner has won again. So an answer that is lost on the way, from the cloud or
// to the gateway, costs nobody the log-in, and a gateway's repeated packet has the same answer on
// every appliance.
//
// How two appliances that are cut off at the same moment agree is told in contest.go.
package claims

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
)

// MaxTTL is the longest time that a claim can be kept.
const MaxTTL = 15 * time.Minute

// ErrFull says that too much is claimed or being claimed at once; nothing was decided.
var ErrFull = sallyport.Errorf(sallyport.CodeUnavailable, "Too many logins at once. Please try again.", errors.New("claims: full"))

// ErrBusy says that the cloud is out of reach and a peer, which is not, did not answer in time.
var ErrBusy = sallyport.Errorf(sallyport.CodeUnavailable, "Please try again.", errors.New("claims: cloud out of reach, and a peer in reach did not answer in time"))

// ErrInvalid says that a key or a time to live is out of bounds: a programming error.
var ErrInvalid = errors.New("claims: key must be 16 to 32 octets, owner at most 64, time to live up to 15 minutes")

// Cloud claims through the tunnel. The answers are in the order of the claims. An error says that it
// is not known whether anything was claimed.
type Cloud interface {
	Claim(ctx context.Context, claims []*tunnelpb.Claim) ([]bool, error)
}

// Peers asks the other appliances. It is implemented by PeerLink.
type Peers interface {
	// Ask puts the claim to every peer and waits for all that answer, until ctx ends. silent is how
	// many did not, although they are in reach.
	Ask(ctx context.Context, a Ask) (answers []Answer, silent int)
	// Tell says, without waiting, that the claim was won here.
	Tell(w Won)
	// Len is how many peers are configured.
	Len() int
}

// Options are what a Claimer works with. Zero values have the defaults named.
type Options struct {
	Appliance sallyport.ApplianceID // decides ties; must differ between appliances
	Cloud     Cloud                 // nil: the appliance has no cloud (tests, benchmarks)
	Peers     Peers                 // nil: it has none
	Log       *slog.Logger          // nil: discarded
	Now       func() time.Time      // nil: time.Now

	CloudTimeout time.Duration // how long the cloud may take; 1 s
	PeerTimeout  time.Duration // how long the peers may take; 1 s
	Capacity     int           // claims remembered at a time; 4 million (about 300 MB when full)
}

// Claimer makes claims. All methods may be used by many at once.
type Claimer struct {
	opts  Options
	mem   *memory
	batch *batcher // nil without a cloud
}

// New returns a Claimer. Close it to end its goroutines.
func New(opts Options) *Claimer {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	opts.CloudTimeout = orDefault(opts.CloudTimeout, time.Second)
	opts.PeerTimeout = orDefault(opts.PeerTimeout, time.Second)
	opts.Capacity = orDefault(opts.Capacity, 4<<20)
	c := &Claimer{opts: opts, mem: newMemory(opts.Capacity)}
	if opts.Cloud != nil {
		c.batch = newBatcher(opts.Cloud, opts.CloudTimeout)
	}
	return c
}

func orDefault[T int | time.Duration](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}

// Close gives up what is on its way to the cloud. Those claims fail, and all made later.
func (c *Claimer) Close() {
	if c.batch != nil {
		c.batch.close()
	}
}

// Claim claims key (16 to 32 octets) for ttl. Of all the claims for a key within that time, on all
// appliances, one is told first. An error says that nothing could be decided: treat it as taken.
func (c *Claimer) Claim(ctx context.Context, key []byte, ttl time.Duration) (first bool, err error) {
	var owner [16]byte
	rand.Read(owner[:])
	return c.ClaimAs(ctx, key, owner[:], ttl)
}

// ClaimAs is Claim, but an owner (1 to 64 octets) that was told first is told so again.
func (c *Claimer) ClaimAs(ctx context.Context, key, owner []byte, ttl time.Duration) (first bool, err error) {
	if len(key) < 16 || len(key) > 32 || len(owner) < 1 || len(owner) > 64 || ttl < time.Millisecond || ttl > MaxTTL {
		return false, ErrInvalid
	}
	return c.claim(ctx, fold(key), fold(owner), ttl)
}

// Local reports whether claims are settled in memory alone, so that no claim waits for anything.
func (c *Claimer) Local() bool {
	return c.batch == nil && (c.opts.Peers == nil || c.opts.Peers.Len() == 0)
}

// id is a key or an owner in the 16 octets that everything inside works with.
type id [16]byte

func fold(b []byte) id {
	if len(b) == len(id{}) {
		return id(b)
	}
	sum := sha256.Sum256(b)
	return id(sum[:16])
}

func (c *Claimer) claim(ctx context.Context, key, owner id, ttl time.Duration) (bool, error) {
	if c.Local() {
		return c.local(key, owner, ttl)
	}
	switch c.mem.enter(key, owner, c.opts.Now(), ttl) {
	case full:
		return false, ErrFull
	case taken:
		return false, nil
	case won:
		return true, nil
	}
	first, holder, err := c.ask(ctx, key, owner, ttl)
	if err != nil {
		return false, err
	}
	// Only memory's word counts: a peer with precedence may have been given the key meanwhile.
	if !first || !c.mem.win(key, owner) {
		c.mem.lose(key, owner, holder)
		return false, nil
	}
	if c.opts.Peers != nil {
		c.opts.Peers.Tell(Won{Key: key, Owner: owner, Expires: c.opts.Now().Add(ttl)})
	}
	return true, nil
}

// ask asks the cloud, and the peers if it does not answer.
func (c *Claimer) ask(ctx context.Context, key, owner id, ttl time.Duration) (first bool, holder id, err error) {
	if c.batch != nil {
		first, err = c.batch.claim(ctx, key, owner, ttl)
		if err == nil || ourselves(err) || ctx.Err() != nil {
			return first, nobody, err
		}
		c.opts.Log.Debug("cloud did not settle a claim", "err", err)
	}
	return c.contest(ctx, key, owner, ttl)
}

// ourselves tells what is wrong here from an outage, which would allow deciding without the cloud.
func ourselves(err error) bool { return errors.Is(err, ErrFull) || errors.Is(err, errStopped) }

func (c *Claimer) local(key, owner id, ttl time.Duration) (bool, error) {
	switch c.mem.take(key, owner, c.opts.Now(), ttl) {
	case full:
		return false, ErrFull
	case won:
		return true, nil
	default:
		return false, nil
	}
}
