package claims

import (
	"context"
	"math/rand"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
)

// The tests here try the orders in which appliances that are cut off from the cloud can meet: every
// step that another appliance can notice waits until the schedule lets it go on.

// stepper lets one of several goroutines take one step at a time.
type stepper struct {
	mu      sync.Mutex
	waiting map[int]chan struct{}
	running int
	idle    *sync.Cond
}

func newStepper(n int) *stepper {
	s := &stepper{waiting: make(map[int]chan struct{}), running: n}
	s.idle = sync.NewCond(&s.mu)
	return s
}

func (s *stepper) step(who int) {
	s.mu.Lock()
	c := make(chan struct{})
	s.waiting[who] = c
	s.running--
	s.idle.Signal()
	s.mu.Unlock()
	<-c
}

func (s *stepper) end() {
	s.mu.Lock()
	s.running--
	s.idle.Signal()
	s.mu.Unlock()
}

// run picks who goes next, by choose, until all have ended.
func (s *stepper) run(choose func(n int) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for s.running > 0 {
			s.idle.Wait()
		}
		var ready []int
		for who := range 8 {
			if s.waiting[who] != nil {
				ready = append(ready, who)
			}
		}
		if len(ready) == 0 {
			return
		}
		who := ready[choose(len(ready))]
		c := s.waiting[who]
		delete(s.waiting, who)
		s.running++
		close(c)
	}
}

// table is a network without delay or loss, in which each ask waits for its turn.
type table struct {
	me      int
	steps   *stepper
	members []*Claimer
	peers   []int // in the order in which they are asked
}

func (n *table) Len() int   { return len(n.peers) }
func (n *table) Tell(w Won) {}

func (n *table) Ask(_ context.Context, a Ask) (answers []Answer, silent int) {
	for _, p := range n.peers {
		n.steps.step(n.me)
		answers = append(answers, n.members[p].AnswerPeer(context.Background(), n.members[n.me].opts.Appliance, a))
	}
	n.steps.step(n.me) // between the last answer and what is made of it
	return answers, 0
}

// game is one meeting: who claims, and whom each of them asks.
type game struct {
	contenders int
	peers      [][]int
}

// play lets the contenders claim one key under a schedule, and returns how many won.
func (g game) play(t testing.TB, choose func(n int) int) (winners int) {
	steps := newStepper(g.contenders)
	members := make([]*Claimer, len(g.peers))
	for i := range g.peers {
		members[i] = New(Options{
			Appliance: sallyport.ApplianceID(rune('a' + i)), Capacity: 64, PeerTimeout: time.Hour,
			Peers: &table{me: i, steps: steps, members: members, peers: g.peers[i]},
		})
	}
	won := make([]bool, g.contenders)
	var wg sync.WaitGroup
	for i := range g.contenders {
		wg.Go(func() {
			defer steps.end()
			steps.step(i)
			var err error
			if won[i], err = members[i].Claim(context.Background(), keyNo(1), time.Minute); err != nil {
				t.Error(err)
			}
		})
	}
	steps.run(choose)
	wg.Wait()
	for _, w := range won {
		if w {
			winners++
		}
	}
	return winners
}

// every plays all schedules, depth first.
func (g game) every(t testing.TB, check func(winners int)) (played int) {
	var script, widths []int
	for {
		at := 0
		widths = widths[:0]
		winners := g.play(t, func(n int) int {
			if at == len(script) {
				script = append(script, 0)
			}
			widths = append(widths, n)
			at++
			return script[at-1]
		})
		played++
		check(winners)
		last := len(widths) - 1
		for last >= 0 && script[last]+1 == widths[last] {
			last--
		}
		if last < 0 {
			return played
		}
		script = append(script[:last], script[last]+1)
	}
}

func TestTwoContendersHaveExactlyOneWinnerInEveryOrder(t *testing.T) {
	for name, g := range map[string]game{
		"two appliances":              {2, [][]int{{1}, {0}}},
		"a third looks on":            {2, [][]int{{1, 2}, {0, 2}, {0, 1}}},
		"the third is asked first":    {2, [][]int{{2, 1}, {2, 0}, {0, 1}}},
		"asked in different orders":   {2, [][]int{{2, 1}, {0, 2}, {0, 1}}},
		"asked in different orders 2": {2, [][]int{{1, 2}, {2, 0}, {0, 1}}},
		"two look on":                 {2, [][]int{{2, 3, 1}, {3, 2, 0}, {0, 1, 3}, {0, 1, 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			played := g.every(t, func(winners int) {
				if winners != 1 {
					t.Fatalf("%d winners", winners)
				}
			})
			t.Logf("%d orders", played)
		})
	}
}

func TestContendersThatHearEachOtherThroughAThirdOnlyHaveAtMostOneWinner(t *testing.T) {
	g := game{2, [][]int{{2}, {2}, {0, 1}}}
	g.every(t, func(winners int) {
		if winners > 1 {
			t.Fatalf("%d winners", winners)
		}
	})
}

func TestThreeContendersNeverHaveTwoWinners(t *testing.T) {
	for name, g := range map[string]game{
		"all hear each other": {3, [][]int{{1, 2}, {0, 2}, {0, 1}}},
		"asked in a circle":   {3, [][]int{{1, 2}, {2, 0}, {0, 1}}},
		"a fourth looks on":   {3, [][]int{{3, 1, 2}, {3, 2, 0}, {3, 0, 1}, {0, 1, 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewSource(1))
			const rounds = 1500
			none := 0
			for range rounds {
				switch winners := g.play(t, random.Intn); {
				case winners > 1:
					t.Fatalf("%d winners", winners)
				case winners == 0:
					none++
				}
			}
			t.Logf("nobody won in %d of %d orders", none, rounds)
		})
	}
}

func TestRepetitionOnAnotherAppliancePutsNobodyElseIn(t *testing.T) {
	// The same packet at a and b (one owner), another packet with the token at c.
	random := rand.New(rand.NewSource(2))
	for range 1500 {
		steps := newStepper(3)
		members := make([]*Claimer, 3)
		for i, peers := range [][]int{{1, 2}, {2, 0}, {0, 1}} {
			members[i] = New(Options{Appliance: sallyport.ApplianceID(rune('a' + (i+1)%3)), Capacity: 64,
				PeerTimeout: time.Hour, Peers: &table{me: i, steps: steps, members: members, peers: peers}})
		}
		won := make([]bool, 3)
		var wg sync.WaitGroup
		for i, who := range []string{"packet", "packet", "other"} {
			wg.Go(func() {
				defer steps.end()
				steps.step(i)
				won[i], _ = members[i].ClaimAs(context.Background(), keyNo(1), owner(who), time.Minute)
			})
		}
		steps.run(random.Intn)
		wg.Wait()
		if (won[0] || won[1]) && won[2] {
			t.Fatal("two packets were let in with one token")
		}
	}
}
