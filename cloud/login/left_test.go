package login

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/test/harness"
)

// town is the hospital and the enterprises of floods.
type town struct{}

func (town) Exists(_ context.Context, t sallyport.TenantID) (bool, error) {
	return t == tenant || strings.HasPrefix(string(t), "neighbour-"), nil
}

// A million visits: each from an address of its own, and so many enterprises that none begins more at
// once than it may.
const (
	million = 1_000_000
	// floodHTTP of them come over connections, floodHandler are handed to the same handler in this process,
	// and the others are given out by what that handler calls. More would take minutes under the race detector.
	floodHTTP    = 10_000
	floodHandler = 50_000
	// settled is when all that is bounded has reached its bounds: see maxNames.
	settled    = 250_000
	neighbours = 1000
)

// strangers returns the visits of the million.
func strangers() func(i int) visit {
	at := make([]sallyport.TenantID, neighbours)
	for i := range at {
		at[i] = sallyport.TenantID("neighbour-" + strconv.Itoa(i))
	}
	return func(i int) visit {
		return visit{netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String(), at[i%neighbours]}
	}
}

// TestAMillionLoginsBegunAndLeftCostNothing begins a million logins under the limits as shipped, while
// people of the hospital log in over HTTP.
func TestAMillionLoginsBegunAndLeftCostNothing(t *testing.T) {
	a, rdb, nodes := newWorld(t, 1, asShipped)
	a.script(approvedAtOnce)
	n := nodes[0]
	f := &flood{t: t, n: n, from: strangers(), ids: map[sallyport.LoginID]bool{}, want: func(_, status int) bool { return status == http.StatusOK }}
	ours := []string{n.logIn(t)}
	meanwhile := func() { ours = append(ours, n.logIn(t)) }
	used, before := usedMemory(t, rdb), heap()
	f.run(floodHTTP, 4, f.overHTTP, meanwhile)
	f.run(settled, 2, f.byService, meanwhile)
	between := heap()
	f.run(settled+floodHandler, 2, f.byHandler, meanwhile)
	f.run(million, 2, f.byService, meanwhile)
	after := heap()
	meanwhile()

	t.Logf("heap: %d KiB, %d KiB after %d, %d KiB after %d; %d logins went through meanwhile", before>>10, between>>10, settled, after>>10, million, len(ours))
	if n := f.begun.Load(); n != million || len(f.ids) != million/floodSample {
		t.Errorf("%d logins were begun; of one in %d, %d have ids of their own", n, floodSample, len(f.ids))
	}
	if after > between+2<<20 || after > before+32<<20 {
		t.Errorf("the heap grew from %d to %d to %d", before, between, after)
	}
	if now := usedMemory(t, rdb); now > used+4<<20 {
		t.Errorf("Redis used %d octets, now %d", used, now)
	}
	// What is kept belongs to the hospital's logins, and to the replica.
	for _, key := range rdb.Keys(t.Context(), "*").Val() {
		if !strings.HasPrefix(key, aliveKey("")) && !belongs(key, ours) {
			t.Errorf("Redis keeps %s", key)
		}
	}
}

// TestAFloodIsLimitedWhereItComesFrom opens pages of the hospital from one address, then from thousands,
// under the limits as shipped and at one moment.
func TestAFloodIsLimitedWhereItComesFrom(t *testing.T) {
	now := time.Now()
	var later atomic.Int64
	a, _, nodes := newWorld(t, 1, asShipped, func(c *Config) { c.Now = func() time.Time { return now.Add(time.Duration(later.Load())) } })
	a.script(approvedAtOnce)
	n := nodes[0]
	open := func(visits int, from func(i int) visit) (begun int) {
		f := &flood{t: t, n: n, from: from, ids: map[sallyport.LoginID]bool{}, want: func(_, status int) bool { return status == 200 || status == 429 }}
		f.run(visits, 4, f.overHTTP, func() {})
		return int(f.begun.Load())
	}
	early := n.begin(t)
	if begun := open(1000, func(int) visit { return visit{"203.0.113.9", tenant} }); begun != n.cfg.Limits.PerAddress.Burst {
		t.Errorf("%d were begun from one address, want %d", begun, n.cfg.Limits.PerAddress.Burst)
	}
	n.logIn(t) // from another one

	left := n.cfg.Limits.PerEnterprise.Burst - n.cfg.Limits.PerAddress.Burst - 2
	if begun := open(5000, func(i int) visit { return visit{fmt.Sprintf("198.18.%d.%d", i>>8, i&255), tenant} }); begun != left {
		t.Errorf("%d were begun at one enterprise, want the %d that it had left", begun, left)
	}
	if got, status := n.beginAs(t, tenant); status != http.StatusTooManyRequests || got.Code != sallyport.CodeLimited || !strings.Contains(got.Message, "try again in a moment") {
		t.Errorf("at the flooded enterprise: %d %+v", status, got)
	}
	if got, status := n.beginAs(t, "neighbour-1"); status != http.StatusOK {
		t.Errorf("at another enterprise: %d %+v", status, got)
	}
	n.finish(t, early) // who is on the way goes on

	later.Store(int64(time.Second))
	n.logIn(t)
}

// TestLoginsLeftAtTheDirectoryEndByThemselves sends credentials from browsers that leave without waiting for
// the answer: as many as an enterprise may have in hand.
func TestLoginsLeftAtTheDirectoryEndByThemselves(t *testing.T) {
	clock := harness.NewClock(t)
	rdb := harness.StartRedis(t, harness.RedisClock(clock)).Client()
	answer := make(chan struct{})
	var gone sync.Map // the logins of those who leave: nobody answers their phones
	a := &appliances{}
	a.script(func(ctx context.Context, s *tunnelpb.LoginStep) (*tunnelpb.LoginView, error) {
		if isGone(s) {
			gone.Store(s.GetLoginId(), true)
			<-answer
			return waiting(1, time.Second), nil
		}
		if _, left := gone.Load(s.GetLoginId()); left {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return approvedAtOnce(ctx, s)
	})
	n := startNode(t, rdb, a, asShipped, func(c *Config) { c.Limits.InHand = 100 })
	n.logIn(t)
	idle := runtime.NumGoroutine()
	for i := range n.cfg.Limits.InHand {
		n.leave(t, fmt.Sprintf("198.18.0.%d", i))
	}
	eventually(t, "the directory is asked for all", func() bool { return a.count(isGone) == n.cfg.Limits.InHand })

	id := n.begin(t)
	if got, status := n.send(t, id, "alice"); status != http.StatusTooManyRequests || got.Code != sallyport.CodeLimited || !strings.Contains(got.Message, "try again in a moment") {
		t.Errorf("one more: %d %+v", status, got)
	}
	if got, status := n.sendAs(t, "neighbour-1", "bob"); status != http.StatusOK {
		t.Errorf("at another enterprise: %d %+v", status, got)
	}
	close(answer)
	eventually(t, "the same again is taken", func() bool { _, status := n.send(t, id, "alice"); return status == http.StatusOK })
	eventually(t, "nobody waits for those who left", func() bool {
		n.drivers.mu.Lock()
		defer n.drivers.mu.Unlock()
		return len(n.drivers.logins) == 0
	})
	eventually(t, "nothing works for them", func() bool { return runtime.NumGoroutine() <= idle+20 })
	if kept := rdb.DBSize(t.Context()).Val(); kept < int64(n.cfg.Limits.InHand) {
		t.Errorf("Redis has %d keys: that they go would mean nothing", kept)
	}
	clock.Set(lifetime + 2*skew + time.Minute)
	eventually(t, "Redis has forgotten them", func() bool {
		keys := rdb.Keys(t.Context(), "*").Val()
		return len(keys) == 1 && strings.HasPrefix(keys[0], aliveKey(""))
	})
	n.logIn(t)
}

func isGone(s *tunnelpb.LoginStep) bool { return s.GetCredentials().GetUserName() == "gone" }

// leave sends credentials from an address and hangs up.
func (n *node) leave(t *testing.T, address string) {
	t.Helper()
	body, err := json.Marshal(credentialsBody("gone"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", n.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	id := n.keys.newID(tenant, n.cfg.Now())
	if _, err := fmt.Fprintf(c, "POST /v1/logins/%s/credentials HTTP/1.1\r\nHost: cloud\r\nX-Forwarded-For: %s\r\nOrigin: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		id, address, origin, len(body), body); err != nil {
		t.Fatal(err)
	}
}

// beginAs begins a login at an enterprise, whatever comes of it.
func (n *node) beginAs(t *testing.T, at sallyport.TenantID) (got answer, status int) {
	t.Helper()
	status = n.call(t, http.MethodPost, "/v1/logins", "", map[string]string{"accessToken": accessTokenOf(at)}, &got)
	return got, status
}

// sendAs sends credentials under a fresh login id of an enterprise.
func (n *node) sendAs(t *testing.T, at sallyport.TenantID, user string) (got answer, status int) {
	t.Helper()
	body := credentialsBody(user)
	body["accessToken"] = accessTokenOf(at)
	status = n.call(t, http.MethodPost, "/v1/logins/"+string(n.keys.newID(at, n.cfg.Now()))+"/credentials", "", body, &got)
	return got, status
}

// approvedAtOnce is an appliance whose users answer the phone at once.
func approvedAtOnce(_ context.Context, s *tunnelpb.LoginStep) (*tunnelpb.LoginView, error) {
	if s.GetWait() != nil {
		return aView(2, tunnelpb.Phase_PHASE_DONE, 0), nil
	}
	return waiting(1, phone), nil
}

// logIn goes through a whole login over HTTP and returns its id.
func (n *node) logIn(t *testing.T) string {
	t.Helper()
	return n.finish(t, n.begin(t))
}

// finish goes through what follows when a login is begun.
func (n *node) finish(t *testing.T, id string) string {
	t.Helper()
	got, status := n.send(t, id, "alice")
	if status != http.StatusOK {
		t.Fatalf("credentials: %d %+v", status, got)
	}
	stream := n.open(t, id, got.Session)
	for stream.view(t).Phase != phaseDone {
	}
	_ = stream.resp.Body.Close()
	return id
}

func belongs(key string, logins []string) bool {
	for _, id := range logins {
		if strings.Contains(key, id) {
			return true
		}
	}
	return false
}

// heap is what is in use of it after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // what a pool still held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

var usedLine = regexp.MustCompile(`(?m)^used_memory:(\d+)`)

func usedMemory(t *testing.T, rdb redis.UniversalClient) int {
	t.Helper()
	m := usedLine.FindStringSubmatch(rdb.Info(t.Context(), "memory").Val())
	if m == nil {
		t.Fatal("Redis does not say what memory it uses")
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
