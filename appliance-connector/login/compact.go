package login

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/sealed"
)

// MaxCompact bounds a compact state, in octets: what a RADIUS attribute holds (RFC 2865 section 5).
const MaxCompact = 253

// compactFormat is the first octet inside. Another release may write another one.
const compactFormat = 2

// What is written as its place in a list; only ever add at the end.
var (
	compactKinds   = [...]sallyport.PromptKind{sallyport.PromptPush, sallyport.PromptCode, sallyport.PromptChoose, sallyport.PromptEnrol}
	compactMethods = [...]sallyport.Method{"", sallyport.MethodPush, sallyport.MethodCode, sallyport.MethodSMS, sallyport.MethodOTP,
		sallyport.MethodExternal, sallyport.MethodPasskey, sallyport.MethodTemporary}
	compactDeliveries = [...]Delivery{"", DeliverySent, DeliveryFailed, DeliveryNoAddress}
	compactReasons    = [...]sallyport.Reason{"", sallyport.ReasonWrongCode, sallyport.ReasonPushFailed, sallyport.ReasonBlocked, sallyport.ReasonSMSFailed,
		sallyport.ReasonEnrolFailed, sallyport.ReasonTooManyCodes, sallyport.ReasonUnknownSerial,
		sallyport.ReasonUnavailable, sallyport.ReasonUpdateApp, sallyport.ReasonNotAttested}
	compactSteps = [...]sallyport.EnrolStep{"", sallyport.EnrolStart, sallyport.EnrolApp, sallyport.EnrolPhone, sallyport.EnrolPhoneCode,
		sallyport.EnrolOTP, sallyport.EnrolFinished}
	compactAuthenticators = [...]sallyport.AuthenticatorKind{"", sallyport.AuthenticatorApp, sallyport.AuthenticatorPhone, sallyport.AuthenticatorPasskey, sallyport.AuthenticatorOTP}
)

// Context is what a compact state does not hold, because every request at its front door brings it along. (Nor does
// it hold the device's name and the token server's question, which are shown once or not at all, nor the link of an enrolment: its front door cannot draw one.)
type Context struct {
	Integration sallyport.Integration
	UserName    string
	Place, Via  string
	Door        sallyport.Door
}

func (c Context) aad() []byte {
	return sealed.Fields("compact login state", string(c.Integration.ID), c.UserName, string(c.Door))
}

// SealCompact packs the state of a login that is not over into MaxCompact octets at most, for its
// integration, user name and door alone. Its login's id must be 32 hexadecimal digits.
func (k Keeper) SealCompact(s State) ([]byte, error) {
	plain, err := s.compact()
	if err != nil {
		return nil, fmt.Errorf("pack state: %w", err)
	}
	if len(plain)+sealed.Overhead > MaxCompact {
		return nil, fmt.Errorf("pack state: %d octets are more than the %d that a RADIUS attribute holds", len(plain)+sealed.Overhead, MaxCompact)
	}
	c := Context{Integration: sallyport.Integration{ID: s.Integration}, UserName: s.UserName, Door: s.Door}
	return sealed.Seal(k.Key, plain, c.aad()), nil
}

// OpenCompact undoes SealCompact. A state of another integration or user, an edited one or one whose login has
// ended is refused.
func (e *Engine) OpenCompact(k Keeper, box []byte, c Context) (State, error) {
	refuse := func(cause error) (State, error) {
		return State{}, sallyport.Errorf(sallyport.CodeInvalid, "This sign-in cannot be continued. Please start again.", cause)
	}
	if len(box) > MaxCompact {
		return refuse(sealed.ErrOpen)
	}
	plain, err := sealed.Open(k.Key, box, c.aad())
	if err != nil {
		return refuse(err)
	}
	s, err := parseCompact(plain)
	if err != nil {
		return refuse(err)
	}
	// A minute of grace: the next step may be taken by an appliance whose clock is ahead.
	if e.Now().UnixMilli() > s.End+time.Minute.Milliseconds() {
		return State{}, sallyport.Errorf(sallyport.CodeExpired, "This sign-in took too long. Please start again.", nil)
	}
	s.Integration, s.Application, s.UserName = c.Integration.ID, c.Integration.Nickname, c.UserName
	s.Place, s.Via, s.Door = c.Place, c.Via, c.Door
	s.Support = e.supportCode(s.Login)
	return s, nil
}

func (s State) compact() ([]byte, error) {
	login, err1 := hex.DecodeString(string(s.Login))
	challenge, err2 := hex.DecodeString(string(s.Challenge))
	device, err3 := base64.RawURLEncoding.DecodeString(string(s.Device))
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("read identifier: %w", err)
	}
	w := compactWriter{out: []byte{compactFormat}}
	w.octets(login)
	w.number(uint64(s.Version))
	w.number(place(&w, compactKinds[:], s.Kind))
	w.octets([]byte(s.Account))
	w.octets(device)
	w.octets(challenge)
	w.number(uint64(len(s.Methods)))
	for _, m := range s.Methods {
		w.number(place(&w, compactMethods[:], m))
	}
	w.number(place(&w, compactMethods[:], s.Used))
	plain := uint64(0)
	if s.Plain {
		plain = 1
	}
	w.number(plain)
	w.number(uint64(s.Pushes))
	w.number(uint64(s.Codes))
	w.number(place(&w, compactDeliveries[:], s.Delivery))
	w.number(place(&w, compactReasons[:], s.Reason))
	w.number(uint64(s.Until))
	w.number(uint64(s.End))
	w.octets(s.Front)
	w.octets([]byte(s.To))
	w.number(uint64(len(s.Sent)))
	for _, at := range s.Sent {
		w.number(uint64(at))
	}
	s.Enrolling.compact(&w)
	return w.out, w.err
}

func (g *Enrolling) compact(w *compactWriter) {
	if g == nil {
		w.number(0)
		return
	}
	w.number(uint64(len(g.Kinds)))
	for _, k := range g.Kinds {
		w.number(place(w, compactAuthenticators[:], k))
	}
	w.number(place(w, compactSteps[:], g.Step))
	flags := uint64(0)
	if g.Required {
		flags |= 1
	}
	if g.Temporary {
		flags |= 2
	}
	w.number(flags)
	w.octets([]byte(g.Number))
	w.number(place(w, compactAuthenticators[:], g.What))
}

func parseCompact(b []byte) (s State, err error) {
	r := compactReader{rest: b}
	if r.number() != compactFormat {
		return s, errCompact
	}
	s.Login = sallyport.LoginID(hex.EncodeToString(r.octets(16)))
	s.Version = uint32(r.upTo(1 << 20))
	s.Kind = item(&r, compactKinds[:])
	s.Account = sallyport.AccountName(r.octets(MaxCompact))
	s.Device = sallyport.DeviceID(base64.RawURLEncoding.EncodeToString(r.octets(64)))
	s.Challenge = sallyport.ChallengeID(hex.EncodeToString(r.octets(32)))
	for range r.upTo(uint64(len(compactMethods))) {
		s.Methods = append(s.Methods, item(&r, compactMethods[:]))
	}
	s.Used = item(&r, compactMethods[:])
	s.Plain = r.upTo(1) == 1
	s.Pushes = int(r.upTo(maxPushes))
	s.Codes = int(r.upTo(maxCodes))
	s.Delivery = item(&r, compactDeliveries[:])
	s.Reason = item(&r, compactReasons[:])
	s.Until = int64(r.upTo(1 << 48))
	s.End = int64(r.upTo(1 << 48))
	if front := r.octets(64); len(front) > 0 {
		s.Front = front
	}
	s.To = string(r.octets(2))
	for range r.upTo(maxEnrolTexts) {
		s.Sent = append(s.Sent, int64(r.upTo(1<<48)))
	}
	s.Enrolling = parseEnrolling(&r)
	if r.bad || len(r.rest) != 0 || len(s.Login) != 32 {
		return State{}, errCompact
	}
	return s, nil
}

func parseEnrolling(r *compactReader) *Enrolling {
	kinds := r.upTo(uint64(len(compactAuthenticators)))
	if kinds == 0 {
		return nil
	}
	g := &Enrolling{}
	for range kinds {
		g.Kinds = append(g.Kinds, item(r, compactAuthenticators[:]))
	}
	g.Step = item(r, compactSteps[:])
	flags := r.upTo(3)
	g.Required, g.Temporary = flags&1 != 0, flags&2 != 0
	g.Number = string(r.octets(16))
	g.What = item(r, compactAuthenticators[:])
	return g
}

var errCompact = errors.New("packed state is not one of this release")

type compactWriter struct {
	out []byte
	err error
}

func (w *compactWriter) number(n uint64) { w.out = binary.AppendUvarint(w.out, n) }

func (w *compactWriter) octets(b []byte) {
	w.number(uint64(len(b)))
	w.out = append(w.out, b...)
}

// place finds what is written as its place in a list.
func place[T comparable](w *compactWriter, list []T, v T) uint64 {
	i := slices.Index(list, v)
	if i < 0 {
		w.err = fmt.Errorf("%v cannot be packed", v)
		return 0
	}
	return uint64(i)
}

// compactReader reads on when something was wrong, and says so at the end.
type compactReader struct {
	rest []byte
	bad  bool
}

func (r *compactReader) number() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *compactReader) upTo(most uint64) uint64 {
	n := r.number()
	if n > most {
		r.bad = true
		return 0
	}
	return n
}

func (r *compactReader) octets(most uint64) []byte {
	n := r.upTo(most)
	if n > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func item[T any](r *compactReader, list []T) (v T) {
	if n := r.number(); n < uint64(len(list)) {
		return list[n]
	}
	r.bad = true
	return v
}
