package e2e_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/browserclient"
	"github.com/sallyport/sallyport/test/harness"
	"github.com/sallyport/sallyport/test/stack"
)

// endsWithin is how long a login may take to end after something has died.
const endsWithin = 45 * time.Second

// A row of the matrix: what dies, and where the browsers are meanwhile.
type row struct {
	name        string
	browsers    int // the cloud replica they are at; -1: spread
	kill, start func()
	whole       bool             // there is no second one: while it is dead nobody logs in
	appliance   *harness.Program // it dies while it is asking the directory
}

func TestWhateverDiesALoginEndsInAccessOrIsToBeTriedAgain(t *testing.T) {
	t.Parallel()
	s := stack.Start(t, stack.Options{})
	o := newOutage(t, s)
	rows := []row{{name: "Redis", browsers: -1, kill: s.Redis.Kill, start: s.Redis.Start, whole: true}}
	for i := range 2 {
		rows = append(rows,
			row{name: fmt.Sprintf("cloud %d with the browsers", i), browsers: i, kill: s.Clouds[i].Kill, start: s.Clouds[i].Start},
			row{name: fmt.Sprintf("token service %d", i), browsers: -1, kill: s.Tokens[i].Kill, start: s.Tokens[i].Start},
			row{name: fmt.Sprintf("appliance %d", i), browsers: -1, kill: s.Appliances[i].Kill, start: s.Appliances[i].Start, appliance: s.Appliances[i]})
	}
	rows = append(rows, row{name: "cloud 1 without the browsers", browsers: 0, kill: s.Clouds[1].Kill, start: s.Clouds[1].Start})
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) { o.run(t, r) })
	}
	o.atBind(t, 0, "")
	// Both appliances at one replica, the browsers at the other: all goes from replica to replica.
	for _, p := range s.Appliances {
		p.Stop()
		p.SetArgs(append(p.Args(), "--tunnel-address", s.TunnelAddrs()[0])...)
		p.Start()
	}
	for _, r := range []row{
		{name: "cloud 0 with all tunnels", browsers: 1, kill: s.Clouds[0].Kill, start: s.Clouds[0].Start, whole: true},
		{name: "cloud 1 with the browsers and no tunnel", browsers: 1, kill: s.Clouds[1].Kill, start: s.Clouds[1].Start},
	} {
		t.Run(r.name, func(t *testing.T) { o.run(t, r) })
	}
	o.atBind(t, 1, " for a page at the other replica")
}

// person is a user with a phone.
type person struct {
	stack.User
	phone *stack.Device
}

// outage is a stack with people who log in while something dies.
type outage struct {
	s      *stack.Stack
	binds  *harness.BindGate
	people map[string]person
}

// The moments of a login at which something dies; each has a person.
const (
	beforeCredentials = "before credentials"
	atDirectory       = "while the directory is asked"
	atDirectoryWrong  = "while the directory is asked about a wrong password"
	atBindRight       = "while the directory has the password in hand"
	atBindWrong       = "while the directory has a wrong password in hand"
	atPush            = "while the push is pending"
	atPushRejected    = "while the push is pending, then rejected"
	beforeFetch       = "after approval, before the token is fetched"
	beforeRADIUS      = "before RADIUS"
	afterwards        = "afterwards"
)

func newOutage(t *testing.T, s *stack.Stack) *outage {
	t.Helper()
	o := &outage{s: s, binds: s.Samba.StartBindGate(t), people: map[string]person{}}
	s.LDAP.Retarget(o.binds.Addr())
	s.LDAP.Cut()
	for _, m := range []string{beforeCredentials, atDirectory, atDirectoryWrong, atBindRight, atBindWrong, atPush, beforeFetch, beforeRADIUS, afterwards} {
		u, d := enrolled(t, s)
		o.people[m] = person{u, d}
	}
	return o
}

// story is a login under way, and how it goes on after the kill.
type story struct {
	moment string
	goOn   func(context.Context) (access bool, err error)
}

func (o *outage) run(t *testing.T, r row) {
	s := o.s
	o.browsersAt(r.browsers)
	stories := o.prepare(t)
	wrongBefore := s.Samba.BadPwdCount(o.people[atDirectoryWrong].Name)
	s.LDAP.BlackHole(true)
	lifted := sync.OnceFunc(func() { s.LDAP.BlackHole(false) })
	defer lifted()
	asking := o.askDirectory(t, atDirectory, r.appliance)
	wrong := o.askDirectory(t, atDirectoryWrong, r.appliance)
	stories = slices.Concat(stories, asking, wrong)

	killed := time.Now()
	r.kill()
	o.browsersAt(-1)
	lifted()
	ended := o.end(t, stories)
	t.Logf("all logins ended %v after the kill: %s", time.Since(killed).Round(time.Millisecond), strings.Join(ended, "; "))
	if !r.whole {
		o.logsIn(t, afterwards, "while it is dead")
	}
	r.start()
	o.logsIn(t, afterwards, "after it came back")
	if n := s.Samba.BadPwdCount(o.people[atDirectoryWrong].Name); n > wrongBefore+len(wrong) {
		t.Errorf("%d wrong passwords were counted %d times", len(wrong), n-wrongBefore)
	}
}

// browsersAt moves all browsers to one cloud replica; -1: they may be at either from now on.
func (o *outage) browsersAt(replica int) {
	s := o.s
	if replica < 0 {
		s.Cloud.Servers(strings.TrimPrefix(s.ReplicaURL(0), "http://"), strings.TrimPrefix(s.ReplicaURL(1), "http://"))
		return
	}
	s.Cloud.Servers(strings.TrimPrefix(s.ReplicaURL(replica), "http://"))
	s.Cloud.Cut()
}

// prepare brings logins to the moments that come before and after the directory.
func (o *outage) prepare(t *testing.T) []story {
	t.Helper()
	return []story{o.begun(t), o.atPush(t), o.atPushRejected(t), o.approved(t), o.withToken(t)}
}

func (o *outage) begun(t *testing.T) story {
	p := o.people[beforeCredentials]
	l, err := o.s.Page().Begin(within(t, patience))
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	body, err := l.Seal(p.Name, p.Password)
	if err != nil {
		t.Fatal(err)
	}
	return story{beforeCredentials, func(ctx context.Context) (bool, error) {
		if err := l.Send(ctx, body); err != nil {
			return false, err
		}
		return o.approve(ctx, l, p)
	}}
}

func (o *outage) atPush(t *testing.T) story {
	p := o.people[atPush]
	l := pushed(t, o.s.Page(), p.User)
	end := watching(t, l)
	return story{atPush, func(ctx context.Context) (bool, error) {
		p.answer(ctx, sallyport.DecisionApprove, l.Prompt.Number)
		return o.toGateway(ctx, p, end)
	}}
}

func (o *outage) atPushRejected(t *testing.T) story {
	u, phone := enrolled(t, o.s) // somebody else each time: who rejects all that comes is not pushed any more
	p := person{u, phone}
	l := pushed(t, o.s.Page(), p.User)
	end := watching(t, l)
	return story{atPushRejected, func(ctx context.Context) (bool, error) {
		p.answer(ctx, sallyport.DecisionDeny, "")
		prompt, err := end(ctx)
		switch {
		case prompt.Kind == sallyport.PromptDone:
			return false, errors.New("WRONG ACCESS: done although the phone said no")
		case err == nil && prompt.Reason == sallyport.ReasonRejected:
			return false, errRejected
		}
		return false, errors.Join(err, deniedError(prompt))
	}}
}

// ending waits for the end of a login.
type ending func(context.Context) (browserclient.Prompt, error)

// watching has a page listen to its login from now on, as every page does.
func watching(t *testing.T, l *browserclient.Login) ending {
	t.Helper()
	ctx := within(t, patience+endsWithin)
	type result struct {
		prompt browserclient.Prompt
		err    error
	}
	over := make(chan result, 1)
	go func() {
		prompt, err := l.AwaitEnd(ctx)
		over <- result{prompt, err}
	}()
	return func(ctx context.Context) (browserclient.Prompt, error) {
		select {
		case r := <-over:
			return r.prompt, r.err
		case <-ctx.Done():
			return browserclient.Prompt{}, ctx.Err()
		}
	}
}

// answer answers the question on the phone, beside everything else. What becomes of it the login's end says.
func (p person) answer(ctx context.Context, d sallyport.Decision, number string) {
	go func() {
		if q, err := p.phone.Challenge(ctx); err == nil {
			_ = q.Answer(ctx, d, number)
		}
	}()
}

func (o *outage) approved(t *testing.T) story {
	p := o.people[beforeFetch]
	l := pushed(t, o.s.Page(), p.User)
	if err := p.phone.Approve(within(t, patience), l.Prompt.Number); err != nil {
		t.Fatalf("approve: %v", err)
	}
	o.untilLogged(t, l, "login granted")
	return story{beforeFetch, func(ctx context.Context) (bool, error) { return o.toGateway(ctx, p, l.AwaitEnd) }}
}

func (o *outage) withToken(t *testing.T) story {
	p := o.people[beforeRADIUS]
	l := pushed(t, o.s.Page(), p.User)
	if err := p.phone.Approve(within(t, patience), l.Prompt.Number); err != nil {
		t.Fatalf("approve: %v", err)
	}
	tokenOf(t, l)
	return story{beforeRADIUS, func(ctx context.Context) (bool, error) { return o.toGateway(ctx, p, l.AwaitEnd) }}
}

// askDirectory sends passwords to a directory that does not answer just now: one, or as many as it takes
// until one is in the hands of the appliance that is to die. Only the last is gone on with to the gateway.
func (o *outage) askDirectory(t *testing.T, moment string, at *harness.Program) (out []story) {
	t.Helper()
	for range 12 {
		last := false
		l, sent := o.send(t, moment)
		by := o.untilLogged(t, l, "credentials arrived")
		last = at == nil || by == at
		out = append(out, story{moment, func(ctx context.Context) (bool, error) { return o.afterDirectory(ctx, l, sent, moment, last) }})
		if last {
			return out
		}
	}
	t.Errorf("of %d logins none came to %s", len(out), at.Name())
	return out
}

// send sends credentials and does not wait for the answer.
func (o *outage) send(t *testing.T, moment string) (l *browserclient.Login, sent <-chan error) {
	t.Helper()
	p := o.people[moment]
	password := p.Password
	if wrongAt(moment) {
		password = sallyport.Secret(rand.Text()) // another one each time: the same one again would not be counted
	}
	ctx := within(t, patience)
	l, err := o.s.Page().Begin(ctx)
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	body, err := l.Seal(p.Name, password)
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- l.Send(ctx, body) }()
	return l, over
}

// afterDirectory goes on when the directory has answered, or somebody else for it.
func (o *outage) afterDirectory(ctx context.Context, l *browserclient.Login, sent <-chan error, moment string, last bool) (bool, error) {
	select {
	case err := <-sent:
		if err != nil {
			return false, err
		}
	case <-ctx.Done():
		return false, ctx.Err()
	}
	switch {
	case wrongAt(moment) && l.Prompt.Kind != sallyport.PromptDenied:
		return false, fmt.Errorf("WRONG ACCESS: %s after a wrong password", l.Prompt.Kind)
	case wrongAt(moment):
		return false, deniedError(l.Prompt)
	case !last:
		return false, errors.Join(l.Say(ctx, browserclient.Message{Action: "cancel"}), errLeft)
	}
	return o.approve(ctx, l, o.people[moment])
}

// wrongAt: the password that is sent at this moment is a wrong one.
func wrongAt(moment string) bool { return moment == atDirectoryWrong || moment == atBindWrong }

// untilLogged waits until an appliance has said something of a login, and returns it.
func (o *outage) untilLogged(t *testing.T, l *browserclient.Login, what string) (by *harness.Program) {
	t.Helper()
	stack.Until(t, patience, what, func() bool {
		for _, a := range o.s.Appliances {
			for _, line := range strings.Split(a.Log(), "\n") {
				if strings.Contains(line, what) && strings.Contains(line, string(l.ID)) {
					by = a
					return true
				}
			}
		}
		return false
	})
	return by
}

// approve goes on from any prompt to the gateway, as a patient person does.
func (o *outage) approve(ctx context.Context, l *browserclient.Login, p person) (bool, error) {
	asked := func(q browserclient.Prompt) bool {
		return q.Kind == sallyport.PromptPush || q.Kind == sallyport.PromptCode
	}
	prompt, err := l.Await(ctx, asked)
	if err == nil && prompt.Kind == sallyport.PromptCode && slices.Contains(prompt.Methods, sallyport.MethodPush) {
		// A code is asked for first by whom it was used last. The person has the phone in hand, and its code may be used already.
		if err = l.Say(ctx, browserclient.Message{Action: "push"}); err == nil {
			prompt, err = l.Await(ctx, asked)
		}
	}
	if err != nil {
		return false, err
	}
	if prompt.Kind == sallyport.PromptPush {
		p.answer(ctx, sallyport.DecisionApprove, prompt.Number)
	} else if err := p.typeCode(ctx, l); err != nil {
		return false, err
	}
	return o.toGateway(ctx, p, l.AwaitEnd)
}

// typeCode types the code that the phone shows, or the next one if this one was used already.
func (p person) typeCode(ctx context.Context, l *browserclient.Login) error {
	for _, at := range []time.Time{time.Now(), time.Now().Add(30 * time.Second)} {
		code, err := p.phone.CodeAt(at)
		if err == nil {
			err = l.Say(ctx, browserclient.Message{Action: "code", Code: string(code)})
		}
		if err != nil || l.Prompt.Reason != sallyport.ReasonWrongCode {
			return err
		}
	}
	return nil
}

// toGateway waits for the end and takes the token to the gateway: once, and then once more, which
// must not be let in.
func (o *outage) toGateway(ctx context.Context, p person, ended ending) (bool, error) {
	end, err := ended(ctx)
	if err != nil {
		return false, err
	}
	if end.Kind != sallyport.PromptDone {
		return false, deniedError(end)
	}
	accept, err := gatewayAsks(ctx, o.s, p.Name, sallyport.Secret(end.Token))
	if err != nil || !accept {
		return false, errors.Join(err, errGateway)
	}
	if again, _ := gatewayAsks(ctx, o.s, p.Name, sallyport.Secret(end.Token)); again {
		return true, errors.New("WRONG ACCESS: the token was accepted twice")
	}
	return true, nil
}

var (
	errRejected = errors.New("rejected on the phone")
	errLeft     = errors.New("the person has left")
	errGateway  = errors.New("the gateway says: please try again")
)

// denial is a login that was ended with a reason.
type denial struct{ why sallyport.Reason }

func (d denial) Error() string { return "denied: " + string(d.why) }

func deniedError(p browserclient.Prompt) error {
	if p.Kind == sallyport.PromptDenied {
		return denial{p.Reason}
	}
	return nil
}

// end lets all stories go on at once and holds each to a clear end in time.
func (o *outage) end(t *testing.T, stories []story) (ended []string) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, st := range stories {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), endsWithin)
			defer cancel()
			access, err := st.goOn(ctx)
			mu.Lock()
			defer mu.Unlock()
			if ctx.Err() != nil {
				t.Errorf("%s: the login hangs: %v", st.moment, err)
			}
			if msg := judged(access, err, st.moment); msg != "" {
				t.Errorf("%s: %s", st.moment, msg)
			}
			ended = append(ended, fmt.Sprintf("%s → access %v (%v)", st.moment, access, err))
		})
	}
	all.Wait()
	slices.Sort(ended)
	return ended
}

// judged says what is wrong with how a login ended; "" is nothing.
func judged(access bool, err error, moment string) string {
	if access && err == nil && moment != atPushRejected && !wrongAt(moment) {
		return ""
	}
	if access || err == nil {
		return fmt.Sprintf("access %v, %v", access, err)
	}
	if errors.Is(err, browserclient.ErrNetwork) || errors.Is(err, errGateway) || errors.Is(err, errLeft) || moment == atPushRejected && errors.Is(err, errRejected) {
		return ""
	}
	var d denial
	if errors.As(err, &d) {
		switch {
		case d.why == sallyport.ReasonCredentials && wrongAt(moment),
			d.why == sallyport.ReasonSuperseded && (moment == atDirectory || moment == atBindRight), // by another login of the same user: see askDirectory
			d.why == sallyport.ReasonUnavailable, d.why == sallyport.ReasonTimeout, d.why == sallyport.ReasonExpired, d.why == sallyport.ReasonPushFailed:
			return ""
		}
		return err.Error()
	}
	switch sallyport.ErrorCode(err) {
	case sallyport.CodeUnavailable, sallyport.CodeUncertain, sallyport.CodeExpired:
		return ""
	}
	return err.Error()
}

// logsIn expects that a login of one of the people works from the beginning, tried again for a while as
// people do.
func (o *outage) logsIn(t *testing.T, who, when string) {
	t.Helper()
	p := o.people[who]
	var last error
	for ctx := within(t, endsWithin); ctx.Err() == nil; {
		l, err := o.s.Page().LogIn(ctx, p.Name, p.Password)
		if err == nil {
			var access bool
			if access, err = o.approve(ctx, l, p); access && err == nil {
				return
			}
		}
		if err != nil && strings.Contains(err.Error(), "WRONG") {
			t.Fatal(err)
		}
		if last = err; ctx.Err() == nil {
			time.Sleep(100 * time.Millisecond) // a person takes longer
		}
	}
	t.Fatalf("no login %s: %v", when, last)
}
