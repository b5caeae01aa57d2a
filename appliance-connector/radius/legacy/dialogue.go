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
		Shows: []sallyport.PromptKind{sallyport.PromptChoose, sallyport.PromptEnrol}, Language: q.Integration.Language,
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
	if s.Kind == sallyport.PromptEnrol {
		return d.enrol(ctx, s, text)
	}
	p := d.Engine.Prompt(s)
	code := sallyport.CanonicalPasscode(text)
	m, chosen := choice(p, strings.ToLower(string(code)))
	switch {
	case chosen:
		return d.use(ctx, s, p, m)
	case s.Kind == sallyport.PromptCode:
		return asked(d.Engine.Code(ctx, s, text))
	case sallyport.LooksLikePasscode(code) && typedNow(p) != "":
		next, err := d.Engine.Act(ctx, s, login.Action{Do: "use", Method: typedNow(p)})
		if err != nil {
			return result{}, err
		}
		return asked(d.Engine.Code(ctx, next, code))
	case s.Kind == sallyport.PromptChoose:
		return d.use(ctx, s, p, p.Methods[0])
	}
	return result{State: s, Hold: true}, nil // the number was typed on the phone, or is about to be
}

// use goes to a method, or has its code sent again.
func (d *Door) use(ctx context.Context, s login.State, p sallyport.Prompt, m sallyport.Method) (result, error) {
	current := s.Kind == sallyport.PromptCode && p.Methods[0] == m
	switch {
	case m == sallyport.MethodPush:
		return d.pushed(d.Engine.Push(ctx, s))
	case current && m == sallyport.MethodSMS:
		return d.again(s)(d.Engine.Act(ctx, s, login.Action{Do: "resend"}))
	case current:
		return d.again(s)(s, nil)
	}
	return asked(d.Engine.Act(ctx, s, login.Action{Do: "use", Method: m}))
}

// again asks the same again when the engine did not go on: a State is answered once, so that there has to be another one.
func (d *Door) again(before login.State) func(login.State, error) (result, error) {
	return func(s login.State, err error) (result, error) {
		switch sallyport.ErrorCode(err) {
		case "", sallyport.CodeLimited, sallyport.CodeConflict, sallyport.CodeInvalid:
		default:
			return result{}, err
		}
		if err != nil {
			s = before
		}
		if s.Version == before.Version {
			s.Version++
		}
		return result{State: s}, nil
	}
}

// choice reads a word for a method that is open, or the number of one where there is a choice.
func choice(p sallyport.Prompt, word string) (sallyport.Method, bool) {
	if p.Kind == sallyport.PromptChoose && len(word) == 1 {
		if n := int(word[0] - '1'); n >= 0 && n < len(options(p)) {
			return options(p)[n], true
		}
	}
	m := map[string]sallyport.Method{wordPush: sallyport.MethodPush, wordSMS: sallyport.MethodSMS, wordToken: sallyport.MethodExternal, wordCode: typedNow(p)}[word]
	return m, m != "" && slices.Contains(p.Methods, m)
}

// options are the ways that a choice is between, in the order of the methods. All codes that can be typed at once are one.
func options(p sallyport.Prompt) (out []sallyport.Method) {
	for _, m := range p.Methods {
		switch m {
		case sallyport.MethodPush, sallyport.MethodSMS, sallyport.MethodExternal:
			out = append(out, m)
		case typedNow(p):
			out = append(out, m)
		}
	}
	slices.SortStableFunc(out, func(a, b sallyport.Method) int { // the push is always the first one
		switch {
		case a == sallyport.MethodPush && b != a:
			return -1
		case b == sallyport.MethodPush && a != b:
			return 1
		}
		return 0
	})
	return out
}

// typedNow is the first method whose codes are there without anybody being asked for one; "": there is none.
func typedNow(p sallyport.Prompt) sallyport.Method {
	for _, m := range p.Methods {
		if m == sallyport.MethodCode || m == sallyport.MethodOTP || m == sallyport.MethodTemporary {
			return m
		}
	}
	return ""
}

// asked is the result of a step that ends the login or asks something else.
func asked(s login.State, err error) (result, error) { return result{State: s}, err }

// pushed is the result of a step that asks the phone: the request is held, unless the user has to be
// shown a number first.
func (d *Door) pushed(s login.State, err error) (result, error) {
	return result{State: s, Hold: s.Plain}, err
}
