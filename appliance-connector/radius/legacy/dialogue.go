package legacy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/appliance-connector/radius"
)

// beginning is the first step of a login: user name and password.
func (d *Door) beginning(q *radius.Query) step {
	key := d.name("begin", string(q.Integration.ID), q.UserName, string(q.Passcode), q.CallingStation)
	return step{
		key: key, owner: key, begins: true, repeatGrant: q.CallingStation != "",
		run: func(ctx context.Context) (result, error) { return d.begin(ctx, q, key) },
	}
}

func (d *Door) begin(ctx context.Context, q *radius.Query, key stepID) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, beginTime)
	defer cancel()
	c, t := contextOf(q), split(q.Passcode, q.Integration.PasscodeSeparator)
	s, err := d.Engine.Begin(ctx, login.Attempt{
		Login: newLogin(), Integration: c.Integration, UserName: c.UserName, Password: t.password, Place: c.Place, Via: c.Via, Door: c.Door,
		Code: t.code, Push: t.push, Choose: q.Integration.AskMethod, Front: key[:],
		// Nobody else asks: the step is taken.
		BindStarted: ctx.Err,
	})
	return result{State: s, Hold: s.Plain}, err
}

func newLogin() sallyport.LoginID {
	var b [16]byte
	rand.Read(b[:])
	return sallyport.LoginID(hex.EncodeToString(b[:]))
}

// answering is a later step: what the user typed when asked.
func (d *Door) answering(q *radius.Query, s login.State) step {
	return step{
		key:     d.name("answer to", string(s.Login), strconv.FormatUint(uint64(s.Version), 10)),
		owner:   d.name("answer", string(q.Passcode)),
		from:    s.Front,
		expires: time.UnixMilli(s.End).Add(stateGrace),
		run:     func(ctx context.Context) (result, error) { return d.answer(ctx, s, q.Passcode) },
	}
}

// answer takes what was typed for what the user was asked.
func (d *Door) answer(ctx context.Context, s login.State, text sallyport.Secret) (result, error) {
	p := d.Engine.Prompt(s)
	code := sallyport.CanonicalPasscode(text)
	word := strings.ToLower(string(code))
	isCode := sallyport.LooksLikePasscode(code) && takesTyped(p)
	switch {
	case s.Kind == sallyport.PromptCode && word == wordPush && slices.Contains(p.Methods, sallyport.MethodPush):
		return d.pushed(d.Engine.Push(ctx, s))
	case s.Kind == sallyport.PromptCode:
		return asked(d.Engine.Code(ctx, s, text))
	case isCode:
		next, err := d.Engine.UseCode(ctx, s)
		if err != nil {
			return result{}, err
		}
		return asked(d.Engine.Code(ctx, next, code))
	case takesTyped(p) && (word == wordCode || s.Kind == sallyport.PromptChoose && wantsCode(p, word)):
		return asked(d.Engine.UseCode(ctx, s))
	case s.Kind == sallyport.PromptChoose:
		return d.pushed(d.Engine.Push(ctx, s))
	}
	return result{State: s, Hold: true}, nil // the number was typed on the phone, or is about to be
}

// wantsCode reads the answer to a choice: 1 is the push, 2 a passcode; anything else is the usual way.
func wantsCode(p sallyport.Prompt, word string) bool {
	switch word {
	case "1", wordPush:
		return false
	case "2":
		return true
	}
	return p.Methods[0] != sallyport.MethodPush
}

func takesTyped(p sallyport.Prompt) bool {
	return slices.ContainsFunc(p.Methods, func(m sallyport.Method) bool { return m != sallyport.MethodPush })
}

// asked is the result of a step that ends the login or asks something else.
func asked(s login.State, err error) (result, error) { return result{State: s}, err }

// pushed is the result of a step that asks the phone: the request is held, unless the user has to be
// shown a number first.
func (d *Door) pushed(s login.State, err error) (result, error) {
	return result{State: s, Hold: s.Plain}, err
}
