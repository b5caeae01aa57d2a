package mail

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

const (
	// lookEvery is how often it is looked for messages that are due.
	lookEvery = 15 * time.Second
	// leaseFor is longer than one attempt.
	leaseFor = sendTime + time.Minute
	// firstWait doubles with every attempt, up to mostWait; after giveUp no more is tried.
	firstWait = time.Minute
	mostWait  = time.Hour
	giveUp    = 72 * time.Hour
)

// Store is where messages wait.
type Store interface {
	Sections
	LeaseMail(ctx context.Context, holder string, now, until time.Time) (sallyport.Mail, bool, error)
	FinishMail(ctx context.Context, id, holder string, r store.MailResult, now time.Time) error
}

// Outbox sends what waits in the store. Several appliances may each have one.
type Outbox struct {
	Store Store
	// Holder is the appliance's id.
	Holder string
	Now    func() time.Time
	Log    *slog.Logger
}

// Run sends what is due until ctx ends.
func (o *Outbox) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := o.SendDue(ctx); err != nil && ctx.Err() == nil {
			o.Log.WarnContext(ctx, "messages that wait not looked at", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// SendDue sends what is due now. Without a server in the settings everything waits, and nothing counts as a try.
func (o *Outbox) SendDue(ctx context.Context) error {
	server, ok, err := ReadServer(ctx, o.Store)
	if err != nil || !ok {
		return err
	}
	for ctx.Err() == nil {
		now := o.Now()
		m, due, err := o.Store.LeaseMail(ctx, o.Holder, now, now.Add(leaseFor))
		if err != nil || !due {
			return err
		}
		result := o.send(ctx, server, m)
		// What became of it is written also when ctx has ended, or it would be sent twice.
		if err := o.finish(context.WithoutCancel(ctx), m.ID, result); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (o *Outbox) finish(ctx context.Context, id string, result store.MailResult) error {
	err := o.Store.FinishMail(ctx, id, o.Holder, result, o.Now())
	if sallyport.ErrorCode(err) == sallyport.CodeConflict {
		return nil // it took so long that another one took over
	}
	return err
}

func (o *Outbox) send(ctx context.Context, server Server, m sallyport.Mail) store.MailResult {
	err := Send(ctx, server, m)
	if err == nil {
		o.Log.InfoContext(ctx, "message sent", "message", m.ID, "recipients", len(m.Recipients), "tries", m.Tries)
		return store.MailResult{State: sallyport.MailSent, Answer: "The server took it."}
	}
	r := store.MailResult{State: sallyport.MailWaiting, Answer: Words(err), NextTry: o.Now().Add(wait(m.Tries))}
	var f *Failure
	if errors.As(err, &f) && f.Permanent || r.NextTry.Sub(m.Created) > giveUp {
		r.State = sallyport.MailFailed
	}
	o.Log.WarnContext(ctx, "message not sent", "message", m.ID, "state", r.State, "tries", m.Tries, "why", r.Answer)
	return r
}

// Words are what is said of an error to an administrator: what it means, and what the server said.
func Words(err error) string {
	var f *Failure
	if !errors.As(err, &f) {
		return "It failed for a reason that is in the appliance's log."
	}
	if f.Answer == "" {
		return f.Message
	}
	return f.Message + " The answer: " + f.Answer
}

// wait is how long to wait after so many tries.
func wait(tries int) time.Duration {
	d := firstWait
	for range min(tries-1, 10) {
		d *= 2
	}
	return min(d, mostWait)
}
