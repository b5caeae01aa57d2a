package claims

import (
	"context"
	"time"

	"github.com/sallyport/sallyport"
)

// How appliances without the cloud agree.
//
// Whoever claims enters the claim in its own memory (pending) and then asks every peer. A peer
// answers in one step of its memory (memory.grant):
//
//	the peer knows nothing of the key    given, and remembered: nobody else wins it there
//	has it for the same owner            given
//	has won it, or knows who has         taken, final
//	claims it itself, not settled yet    the lower appliance id wins: the peer gives way for good
//	                                     and says so, or answers taken
//	has given it to another peer         taken, by that owner
//
// The asker wins when no peer that answered said taken, and its own memory still has its claim.
//
// Never two winners among appliances that hear each other: say X wins for owner x and Y for owner y.
// X was given x by Y. If that was before Y won, Y's memory held x when Y wanted to win, so Y did not.
// If it was after, Y's memory held y as settled, and X was told taken. What was given is taken back
// in one case only: the owner it was given to has given up, at the appliance it was given to, which
// is for good (memory.lost).
//
// That case is needed so that there is a winner: B asks C, which knows nothing and gives. A, with
// the lower id, asks B, which gives way, and C, which answers "taken by b". A knows from B that b has
// given up, and asks C once more, saying so. With three contenders or more, messages can cross so
// that nobody wins; that is allowed, two winners are not.
const contestRounds = 3

// Ask is one claim put to the peers.
type Ask struct {
	Key, Owner [16]byte
	TTL        time.Duration
	Yielded    []Yielded
}

// Yielded says that an owner has given up at an appliance, for good.
type Yielded struct {
	Owner     [16]byte
	Appliance sallyport.ApplianceID
}

// Answer is what one peer says to an Ask.
type Answer struct {
	From  sallyport.ApplianceID
	Given bool
	// Holder has the key (zero: not known), when it is not given. Final: nothing will change that.
	Holder [16]byte
	Final  bool
	// Lost is the owner at the peer that has given up; zero: none.
	Lost [16]byte
}

// Won is a claim that was settled.
type Won struct {
	Key, Owner [16]byte
	Expires    time.Time
}

// contest settles a claim without the cloud, and reports who has the key when it was not won.
func (c *Claimer) contest(ctx context.Context, key, owner id, ttl time.Duration) (first bool, holder id, err error) {
	ask := Ask{Key: key, Owner: owner, TTL: ttl}
	for range contestRounds {
		answers, silent := c.askAll(ctx, ask)
		v := judge(answers)
		switch {
		case ctx.Err() != nil:
			return false, nobody, ctx.Err()
		case v.final:
			return false, v.holder, nil
		case silent > 0:
			return false, nobody, ErrBusy
		case len(answers) == 0:
			c.alone()
			return true, nobody, nil
		case v.won:
			return true, nobody, nil
		case len(ask.Yielded) == len(v.yielded):
			return false, v.holder, nil // asking again would change nothing
		}
		ask.Yielded = v.yielded
	}
	return false, nobody, nil
}

func (c *Claimer) askAll(ctx context.Context, a Ask) (answers []Answer, silent int) {
	if c.opts.Peers == nil || c.opts.Peers.Len() == 0 {
		return nil, 0
	}
	ctx, cancel := context.WithTimeout(ctx, c.opts.PeerTimeout)
	defer cancel()
	return c.opts.Peers.Ask(ctx, a)
}

func (c *Claimer) alone() {
	peers := 0
	if c.opts.Peers != nil {
		peers = c.opts.Peers.Len()
	}
	c.opts.Log.Warn("cloud and all peers out of reach: decided alone that something is used for the first time",
		"peers", peers, "cure", "check the tunnel and the network between the appliances")
}

type verdict struct {
	won     bool
	final   bool
	holder  id
	yielded []Yielded
}

// judge adds up the answers of one round.
func judge(answers []Answer) verdict {
	v := verdict{won: true}
	for _, a := range answers {
		if a.Lost != nobody {
			v.yielded = append(v.yielded, Yielded{Owner: a.Lost, Appliance: a.From})
		}
	}
	for _, a := range answers {
		if a.Given {
			continue
		}
		v.won, v.holder = false, a.Holder
		if a.Final || !contains(v.yielded, a.Holder) {
			v.final = true
			return v
		}
	}
	return v
}

func contains(list []Yielded, owner id) bool {
	for _, y := range list {
		if y.Owner == owner {
			return true
		}
	}
	return false
}

// AnswerPeer answers what peer from asks. It claims in the cloud for the peer when the cloud is in
// reach, and looks into memory otherwise.
func (c *Claimer) AnswerPeer(ctx context.Context, from sallyport.ApplianceID, a Ask) Answer {
	r := grantRequest{
		key: a.Key, owner: a.Owner, from: short(string(from)), ttl: min(a.TTL, MaxTTL),
		precedes: from < c.opts.Appliance,
	}
	for _, y := range a.Yielded {
		r.yielded = append(r.yielded, yield{owner: y.Owner, by: short(string(y.Appliance))})
	}
	if c.batch != nil {
		// Well before the asker stops waiting: an answer that comes too late is as good as none.
		ctx, cancel := context.WithTimeout(ctx, c.opts.PeerTimeout*3/10)
		defer cancel()
		switch first, err := c.batch.claim(ctx, r.key, r.owner, r.ttl); {
		case err != nil && ourselves(err):
			return Answer{From: c.opts.Appliance, Final: true}
		case err == nil && !first:
			c.mem.refuse(r.key, c.opts.Now(), r.ttl)
			return Answer{From: c.opts.Appliance, Final: true}
		case err == nil:
			r.precedes = true // the cloud has spoken: a claim that is pending here will be refused
		}
	}
	g := c.mem.grant(r, c.opts.Now())
	return Answer{From: c.opts.Appliance, Given: g.given, Holder: g.holder, Final: g.final, Lost: g.lost}
}

// HearWon takes down what a peer has won.
func (c *Claimer) HearWon(w Won) {
	now := c.opts.Now()
	if ttl := min(w.Expires.Sub(now), MaxTTL); ttl > 0 {
		if !c.mem.note(w.Key, w.Owner, now, ttl) {
			c.opts.Log.Error("something was used twice, here and at a peer, while the network was in pieces",
				"cure", "look through the log-ins of the last minutes on both appliances")
		}
	}
}
