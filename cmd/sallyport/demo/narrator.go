package demo

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/appliance-connector/admin"
)

// steps are the sixteen steps of a login, as docs/login-steps.md counts them.
var steps = [17]string{
	1:  "browser   → gateway        asks for the logon page",
	2:  "browser   → cloud          fetches the overlay",
	3:  "browser   → cloud          sends user name and sealed password",
	4:  "cloud     → appliance      passes them on through the tunnel",
	5:  "appliance → directory      checks the password",
	6:  "appliance → token service  asks for a push",
	7:  "token svc → APNs / FCM     sends the notification",
	8:  "APNs / FCM → phone         delivers it",
	9:  "phone     → token service  sends the signed answer",
	10: "token svc → appliance      passes the answer on",
	11: "appliance → cloud          ends the login",
	12: "cloud     → browser        passes the end on",
	13: "browser   → gateway        submits name, password and gateway token",
	14: "gateway   → directory      checks name and password (LDAP)",
	15: "gateway   → appliance      checks the gateway token (RADIUS)",
	16: "gateway   → browser        lets the user in, or not",
}

// narrator is a log that tells a login as it goes by: lines that carry a step go to out in plain words,
// those that name trouble as well, and the rest to the log file.
type narrator struct {
	next slog.Handler
	out  io.Writer
	mu   *sync.Mutex
	with []slog.Attr
	// generator shows the codes that the console asks for; it holds nil until there is one.
	generator *atomic.Pointer[generator]
}

func newNarrator(out io.Writer, next slog.Handler) *narrator {
	return &narrator{next: next, out: out, mu: &sync.Mutex{}, generator: &atomic.Pointer[generator]{}}
}

// Enabled takes everything: some steps are told at the debug level, since they are of no interest to
// those who run a service.
func (n *narrator) Enabled(context.Context, slog.Level) bool { return true }

func (n *narrator) Handle(ctx context.Context, r slog.Record) error {
	step := 0
	var details []string
	see := func(a slog.Attr) bool {
		switch a.Key {
		case "step":
			step = int(a.Value.Int64())
		case "login", "challenge", "trace", "device", "enterprise", "tenant":
		default:
			details = append(details, a.Key+"="+a.Value.String())
		}
		return true
	}
	for _, a := range n.with {
		see(a)
	}
	r.Attrs(see)
	if g := n.generator.Load(); g != nil && r.Message == admin.FactorAsked {
		n.say("%s      console: the code is %s\n", r.Time.Format("15:04:05.000"), g.code(r.Time))
	}
	if step >= 1 && step <= 16 {
		n.say("%s  %2d  %s : %s %s\n", r.Time.Format("15:04:05.000"), step, steps[step], r.Message, strings.Join(details, " "))
	} else if r.Level >= slog.LevelWarn {
		n.say("%s  !!  %s %s\n", r.Time.Format("15:04:05.000"), r.Message, strings.Join(details, " "))
	}
	if n.next.Enabled(ctx, r.Level) {
		return n.next.Handle(ctx, r)
	}
	return nil
}

// Step tells a step that happens outside our own services.
func (n *narrator) Step(step int, text string) {
	r := slog.NewRecord(now(), slog.LevelInfo, text, 0)
	r.AddAttrs(slog.Int("step", step))
	_ = n.Handle(context.Background(), r)
}

func (n *narrator) say(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, _ = fmt.Fprintf(n.out, format, args...)
}

func (n *narrator) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *n
	c.next, c.with = n.next.WithAttrs(attrs), append(n.with[:len(n.with):len(n.with)], attrs...)
	return &c
}

func (n *narrator) WithGroup(name string) slog.Handler {
	c := *n
	c.next = n.next.WithGroup(name)
	return &c
}

// text tells a text message as the phone would show it.
func (n *narrator) text(to, text string) {
	n.say("%s      text message to %s: %s\n", time.Now().Format("15:04:05.000"), to, text)
}
