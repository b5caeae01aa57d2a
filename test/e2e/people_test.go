package e2e_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/browserclient"
	"github.com/sallyport/sallyport/test/stack"
)

// within bounds what a test waits for.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// enrolled makes a user with a phone, for one test alone.
func enrolled(t *testing.T, s *stack.Stack) (stack.User, *stack.Device) {
	t.Helper()
	u := s.NewUser(t)
	return u, s.Enrol(t, u.Name)
}

// pushed logs in up to the number.
func pushed(t *testing.T, c *browserclient.Client, u stack.User) *browserclient.Login {
	t.Helper()
	ctx := within(t, patience)
	l, err := c.LogIn(ctx, u.Name, u.Password)
	if err == nil {
		_, err = l.AwaitPush(ctx)
	}
	if err != nil {
		t.Fatalf("log in %s: %v", u.Name, err)
	}
	if l.Prompt.Kind != sallyport.PromptPush || len(l.Prompt.Number) != 2 {
		t.Fatalf("log in %s: %+v instead of a number", u.Name, l.Prompt)
	}
	return l
}

// granted logs in up to the gateway token.
func granted(t *testing.T, c *browserclient.Client, u stack.User, d *stack.Device) sallyport.Secret {
	t.Helper()
	l := pushed(t, c, u)
	if err := d.Approve(within(t, patience), l.Prompt.Number); err != nil {
		t.Fatalf("approve: %v", err)
	}
	return tokenOf(t, l)
}

// tokenOf waits for the gateway token.
func tokenOf(t *testing.T, l *browserclient.Login) sallyport.Secret {
	t.Helper()
	p, err := l.AwaitEnd(within(t, patience))
	if err != nil || p.Kind != sallyport.PromptDone || p.Token == "" {
		t.Fatalf("the login ended with %v, %+v", err, p)
	}
	return sallyport.Secret(p.Token)
}

// deniedFor waits for the end of a login and holds it to a reason.
func deniedFor(t *testing.T, l *browserclient.Login, why sallyport.Reason) {
	t.Helper()
	p, err := l.AwaitEnd(within(t, patience))
	if err != nil || p.Kind != sallyport.PromptDenied || p.Reason != why || p.Token != "" {
		t.Errorf("the login ended with %v, %+v, want denied: %s", err, p, why)
	}
}

// refusedWith holds an error to a code.
func refusedWith(t *testing.T, err error, codes ...sallyport.Code) {
	t.Helper()
	var e *sallyport.Error
	if !errors.As(err, &e) {
		t.Errorf("got %v, want an error with one of %v", err, codes)
		return
	}
	for _, c := range codes {
		if e.Code == c {
			return
		}
	}
	t.Errorf("got %s (%v), want one of %v", e.Code, err, codes)
}

// shortly is how long a test listens for what must not come.
func shortly(t *testing.T) context.Context { t.Helper(); return within(t, 700*time.Millisecond) }
