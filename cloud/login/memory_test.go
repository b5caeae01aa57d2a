package login

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
)

func TestNoBearerIsInRedisOrInTheLog(t *testing.T) {
	a, rdb, nodes := newWorld(t, 2)
	approve := make(chan struct{})
	a.script(pushLogin(approve))
	id := nodes[0].begin(t)
	got, _ := nodes[0].send(t, id, "alice.unmistakable")
	nodes[1].send(t, id, "alice.unmistakable")
	dump := dumpAll(t, rdb)
	stream := nodes[1].open(t, id, got.Session)
	stream.view(t)
	close(approve)
	stream.view(t)
	dump += dumpAll(t, rdb) + nodes[0].log.String() + nodes[1].log.String()
	_, secret, _ := strings.Cut(got.Session, ".")
	for name, s := range map[string]string{"bearer": got.Session, "secret half of the bearer": secret, "user name": "alice.unmistakable"} {
		if strings.Contains(dump, s) {
			t.Errorf("%s found", name)
		}
	}
	if !strings.Contains(dump, "sealed 1") {
		t.Error("the dump does not hold what is there: the search means nothing")
	}
	for _, k := range rdb.Keys(t.Context(), "*:login:*").Val() {
		if ttl := rdb.PTTL(t.Context(), k).Val(); ttl <= 0 || ttl > lifetime+2*skew {
			t.Errorf("%s ends in %v", k, ttl)
		}
	}
}

func dumpAll(t testing.TB, r redis.UniversalClient) string {
	t.Helper()
	ctx := context.Background()
	var b strings.Builder
	for it := r.Scan(ctx, 0, "*", 100).Iterator(); it.Next(ctx); {
		fmt.Fprintln(&b, it.Val(), r.Get(ctx, it.Val()).Val(), r.HGetAll(ctx, it.Val()).Val())
	}
	return b.String()
}

func TestViewsThatBreakTheBoundsAreRefused(t *testing.T) {
	a, _, nodes := newWorld(t, 1)
	for name, v := range map[string]*tunnelpb.LoginView{
		"none": nil, "no phase": aView(1, 0, 0), "no version": aView(0, tunnelpb.Phase_PHASE_INPUT, 0),
		"unknown phase": aView(1, 99, 0),
		"long state":    {Version: 1, Phase: tunnelpb.Phase_PHASE_INPUT, State: make([]byte, maxState+1)},
		"long prompt":   {Version: 1, Phase: tunnelpb.Phase_PHASE_INPUT, Sealed: make([]byte, maxSealed+1)},
	} {
		a.script(func(context.Context, *tunnelpb.LoginStep) (*tunnelpb.LoginView, error) { return v, nil })
		if got, status := nodes[0].send(t, nodes[0].begin(t), "alice"); status != 503 || got.Code != sallyport.CodeUncertain {
			t.Errorf("%s: %d %+v", name, status, got)
		}
	}
}
