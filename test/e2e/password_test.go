package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/browserclient"
	"github.com/sallyport/sallyport/test/harness"
	"github.com/sallyport/sallyport/test/stack"
)

func TestEachAccountStateHasTheSameAnswer(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	good := s.NewUser(t)
	users := map[string]stack.User{
		"unknown user":   {Name: "nobody-of-that-name", Password: harness.UserPassword},
		"wrong password": {Name: good.Name, Password: "wrong"},
	}
	for _, name := range []string{harness.Disabled, harness.MustChange, harness.ExpiredPw, harness.AcctExpired, harness.Locked, harness.Hours, harness.Workstation} {
		users[name] = stack.User{Name: name, Password: harness.UserPassword}
	}
	for name, u := range users {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := within(t, patience)
			l, err := s.Page().LogIn(ctx, u.Name, u.Password)
			if err != nil {
				t.Fatal(err)
			}
			p := l.Prompt
			if p.SupportCode == "" || !strings.Contains(s.Logs(), p.SupportCode) {
				t.Errorf("support code %q leads nowhere", p.SupportCode)
			}
			p.SupportCode, p.Remaining = "", 0
			want := browserclient.Prompt{Prompt: sallyport.Prompt{Kind: sallyport.PromptDenied, Reason: sallyport.ReasonCredentials}}
			if !samePrompt(p, want) || l.Version != 1 {
				t.Errorf("version %d, %+v", l.Version, p)
			}
		})
	}
}

func samePrompt(a, b browserclient.Prompt) bool {
	return a.Kind == b.Kind && a.Reason == b.Reason && a.Number == b.Number && a.Device == b.Device && a.Token == b.Token &&
		a.Delivery == b.Delivery && len(a.Methods) == len(b.Methods) && a.SupportCode == b.SupportCode
}

func TestThreeWrongPasswordsCountThree(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	u := s.NewUser(t)
	for n := 1; n <= 3; n++ {
		l, err := s.Page().LogIn(within(t, patience), u.Name, sallyport.Secret(fmt.Sprint("wrong ", n)))
		if err != nil || l.Prompt.Reason != sallyport.ReasonCredentials {
			t.Fatalf("%v, %+v", err, l)
		}
		if got := s.Samba.BadPwdCount(u.Name); got != n {
			t.Errorf("after %d wrong passwords the directory has counted %d", n, got)
		}
	}
}

// everywhere posts the same credentials many times at once over both replicas and returns the logins.
func everywhere(t *testing.T, s *stack.Stack, u stack.User, password sallyport.Secret) []*browserclient.Login {
	t.Helper()
	ctx := within(t, patience)
	first, err := s.PageAt(0).Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	body, err := first.Seal(u.Name, password)
	if err != nil {
		t.Fatal(err)
	}
	var out []*browserclient.Login
	for i := range 12 {
		out = append(out, first.At(s.PageAt(i%2)))
	}
	var all sync.WaitGroup
	for _, l := range out {
		all.Go(func() {
			if err := l.Post(ctx, body); err != nil {
				t.Errorf("post: %v", err)
			}
		})
	}
	all.Wait()
	if err := first.Post(ctx, body); err != nil { // and once more, when all is said
		t.Errorf("post: %v", err)
	}
	out = append(out, first)
	for _, l := range out[1:] {
		if l.Session != out[0].Session || l.Prompt.Number != out[0].Prompt.Number || l.Prompt.SupportCode != out[0].Prompt.SupportCode {
			t.Errorf("answers differ: %+v, %+v", l.Prompt, out[0].Prompt)
		}
	}
	return out
}

func TestRepeatedCredentialsMakeOnePushAndOneCount(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	u, d := enrolled(t, s)
	everywhere(t, s, u, "wrong")
	if got := s.Samba.BadPwdCount(u.Name); got != 1 {
		t.Errorf("the directory has counted %d wrong passwords, want 1", got)
	}
	logins := everywhere(t, s, u, u.Password)
	ctx := within(t, patience)
	c, err := d.Challenge(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Answer(ctx, sallyport.DecisionApprove, logins[0].Prompt.Number); err != nil {
		t.Fatal(err)
	}
	token := tokenOf(t, logins[0])
	for _, l := range logins[1:3] {
		if other := tokenOf(t, l); other != token {
			t.Error("two tokens for one login")
		}
	}
	if n := len(s.Push.PushesFor(string(c.ID))); n != 1 {
		t.Errorf("%d pushes for the challenge, want 1", n)
	}
	if n := pushesTo(s, d); n != 1 {
		t.Errorf("%d pushes to the phone, want 1", n)
	}
}

func TestSealedPasswordIsGoodForItsLoginUserAndOriginOnly(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	u, d := enrolled(t, s)
	victim := s.NewUser(t)
	ctx := within(t, 2*patience)
	begin := func(c *browserclient.Client) *browserclient.Login {
		l, err := c.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	stolen, err := begin(s.Page()).Seal(u.Name, u.Password)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("another login", func(t *testing.T) {
		refusedWith(t, begin(s.Page()).Post(ctx, stolen), sallyport.CodeInvalid)
	})
	t.Run("another user", func(t *testing.T) {
		l := begin(s.Page())
		body, err := l.Seal(u.Name, u.Password)
		if err != nil {
			t.Fatal(err)
		}
		body.UserName = victim.Name
		refusedWith(t, l.Post(ctx, body), sallyport.CodeInvalid)
	})
	t.Run("another origin", func(t *testing.T) {
		l := begin(s.Page())
		body, err := l.Seal(u.Name, u.Password)
		if err != nil {
			t.Fatal(err)
		}
		elsewhere := s.Page()
		elsewhere.Origin = "https://evil.example"
		refusedWith(t, l.At(elsewhere).Post(ctx, body), sallyport.CodeInvalid)
	})
	t.Run("replayed", func(t *testing.T) {
		l := begin(s.Page())
		body, err := l.Seal(u.Name, u.Password)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Post(ctx, body); err != nil {
			t.Fatal(err)
		}
		if err := l.Say(ctx, browserclient.Message{Action: "cancel"}); err != nil {
			t.Fatal(err)
		}
		deniedFor(t, l, sallyport.ReasonCancelled)
		// Whoever has the request can send it again: it is the same login, and it is over.
		again := l.At(s.PageAt(1))
		if err := again.Post(ctx, body); err != nil || again.Prompt.Kind != sallyport.PromptDenied {
			t.Errorf("replayed: %v, %+v", err, again.Prompt)
		}
		// Under the same login id with anything else it is refused.
		other, err := l.Seal(u.Name, u.Password)
		if err != nil {
			t.Fatal(err)
		}
		refusedWith(t, l.Post(ctx, other), sallyport.CodeConflict)
	})
	for _, name := range []string{u.Name, victim.Name} {
		if n := s.Samba.BadPwdCount(name); n != 0 {
			t.Errorf("%s has %d wrong passwords", name, n)
		}
	}
	// One push: that of the login that was begun as it should be.
	if n := pushesTo(s, d); n > 1 {
		t.Errorf("%d pushes", n)
	}
	if _, err := d.Challenge(shortly(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("something waits for the phone: %v", err)
	}
}

func TestStolenRequestDoesNotPassTheApplianceEvenWithoutTheCloudsMemory(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	u, _ := enrolled(t, s)
	ctx := within(t, patience)
	l, err := s.Page().Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	body, err := l.Seal(u.Name, u.Password)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Post(ctx, body); err != nil {
		t.Fatal(err)
	}
	// A cloud that forgets, or is told to: everything that it knows of this login goes.
	n := 0
	it := s.Redis.Client().Scan(ctx, 0, "*"+string(l.ID)+"*", 1000).Iterator()
	for it.Next(ctx) {
		if err := s.Redis.Client().Del(ctx, it.Val()).Err(); err != nil {
			t.Fatal(err)
		}
		n++
	}
	if it.Err() != nil || n == 0 {
		t.Fatalf("%d keys of the login, %v", n, it.Err())
	}
	refusedWith(t, l.At(s.PageAt(1)).Post(ctx, body), sallyport.CodeInvalid)
	if !strings.Contains(s.Appliances[0].Log()+s.Appliances[1].Log(), "was used before") {
		t.Error("no log line says that the sealed password was used before")
	}
}
