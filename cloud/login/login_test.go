package login

import (
	"context"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api/tunnelpb"
)

// A login that waits for the phone: the push is answered when approve is closed.
func pushLogin(approve <-chan struct{}) func(context.Context, *tunnelpb.LoginStep) (*tunnelpb.LoginView, error) {
	return func(ctx context.Context, s *tunnelpb.LoginStep) (*tunnelpb.LoginView, error) {
		switch {
		case s.GetCredentials() != nil:
			return waiting(1, phone), nil
		case s.GetWait() != nil:
			select {
			case <-approve:
				return aView(2, tunnelpb.Phase_PHASE_DONE, 0), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		default:
			return aView(2, tunnelpb.Phase_PHASE_INPUT, 0), nil
		}
	}
}

func TestALoginGoesAcrossReplicas(t *testing.T) {
	a, _, nodes := newWorld(t, 2)
	approve := make(chan struct{})
	a.script(pushLogin(approve))
	id := nodes[0].begin(t)
	got, status := nodes[1].send(t, id, "alice")
	if status != 200 || got.View.Phase != phaseWaiting || got.View.Version != 1 || string(got.View.Sealed) != "sealed 1" {
		t.Fatalf("credentials: %d %+v", status, got)
	}
	stream := nodes[0].open(t, id, got.Session)
	if v := stream.view(t); v.Version != 1 {
		t.Fatalf("first view %+v", v)
	}
	eventually(t, "waited for", func() bool { return a.count(isWait) == 1 })
	close(approve)
	approved := time.Now()
	if v := stream.view(t); v.Version != 2 || v.Phase != phaseDone {
		t.Fatalf("last view %+v", v)
	}
	t.Logf("seen on the other replica after %v", time.Since(approved))
	if e := stream.next(t); e.name != "" {
		t.Fatalf("the stream goes on after the end: %+v", e)
	}
	if n := a.count(isCredentials); n != 1 {
		t.Fatalf("the directory was asked %d times", n)
	}
}
