package claims

import (
	"context"
	"crypto/rand"
	"time"
)

// patience is how often a peer that counts as out of reach is asked, before it is not waited for.
const patience = 2

// question is one Ask on its way to every peer.
type question struct {
	link    *PeerLink
	inbox   chan peerMessage
	open    map[id]openAsk // not answered yet
	answers []Answer
}

type openAsk struct {
	box []byte
	to  *peer
}

// Ask asks every peer, again and again until it answers or ctx ends. silent is how many peers gave no
// answer although they are in reach: they are busy, and what they know is not known.
func (l *PeerLink) Ask(ctx context.Context, a Ask) (answers []Answer, silent int) {
	q := l.question(a)
	defer q.close()
	pause := askAgain // longer each time: many asks that come again are what keeps a peer busy
	again := time.NewTimer(pause)
	defer again.Stop()
	for round := 0; ; round++ {
		if round == patience {
			q.leaveDark()
		}
		q.send()
		if round > 0 {
			pause *= 2
			again.Reset(pause)
		}
		if done := q.collect(ctx, again.C); done {
			q.leaveDark()
			return q.answers, len(q.open)
		}
	}
}

func (l *PeerLink) question(a Ask) *question {
	peers := *l.peers.Load()
	q := &question{link: l, inbox: make(chan peerMessage, 2*len(peers)), open: make(map[id]openAsk, len(peers))}
	for _, p := range peers {
		m := peerMessage{Kind: kindAsk, Sent: l.opts.Now().UnixMilli(), From: l.opts.Appliance, To: p.Appliance, Ask: a.wire()}
		rand.Read(m.ID[:])
		box, err := m.seal(l.key)
		if err != nil { // unanswered, so never taken for a yes
			l.opts.Log.Error("ask peer", "err", err)
		}
		q.open[m.ID] = openAsk{box, p}
		l.asking.add(m.ID, q.inbox)
	}
	return q
}

func (q *question) close() {
	for i := range q.open {
		q.link.asking.remove(i)
	}
}

func (q *question) settle(i id) {
	delete(q.open, i)
	q.link.asking.remove(i)
}

// leaveDark waits no more for peers that are out of reach.
func (q *question) leaveDark() {
	for i, o := range q.open {
		if o.to.dark() {
			q.settle(i)
		}
	}
}

func (q *question) send() {
	for _, o := range q.open {
		if to := o.to.addr.Load(); to != nil {
			q.link.send(o.box, *to)
		}
	}
}

// collect takes answers in until it is time to ask again; done reports that there is no need to.
func (q *question) collect(ctx context.Context, again <-chan time.Time) (done bool) {
	for len(q.open) > 0 {
		select {
		case m := <-q.inbox:
			o, open := q.open[m.ID]
			if !open || m.From != o.to.Appliance {
				continue
			}
			q.settle(m.ID)
			q.answers = append(q.answers, Answer{
				From: m.From, Given: m.Answer.Given, Final: m.Answer.Final, Holder: m.Answer.Holder, Lost: m.Answer.Lost,
			})
			if m.Answer.Final && !m.Answer.Given {
				return true // nothing that the others say can change it
			}
		case <-again:
			return false
		case <-ctx.Done():
			return true
		}
	}
	return true
}
