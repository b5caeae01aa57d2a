package login

import (
	"context"
	"crypto/hmac"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/cloud/edge"
	"github.com/sallyport/sallyport/internal/sealed"
)

const (
	maxUserName = 256
	maxKeyID    = 64
	maxOrigin   = 256
	maxLanguage = 35
	maxShows    = 16
	maxKind     = 16
	// joinEvery is how often a repeated request looks for the answer to the first one, when
	// nothing tells it to look earlier.
	joinEvery = 250 * time.Millisecond
	// joinTimeout is how long it looks.
	joinTimeout = askTimeout + 3*time.Second
)

// credentials are one request of docs/protocol/browser.md section 3.
type credentials struct {
	AccessToken string `json:"accessToken"`
	UserName    string `json:"userName"`
	KeyID       string `json:"kid"`
	IAT         int64  `json:"iat"`
	Enc         octets `json:"enc"`
	Ciphertext  octets `json:"ciphertext"`
	// Language of the page, and the kinds of prompt that it can show beyond those of the first scripts.
	Language string   `json:"language"`
	Shows    []string `json:"shows"`
	// Remembered is there when the browser was remembered for this user.
	Remembered *rememberedClaim `json:"remembered"`

	token accessToken
	login sallyport.LoginID

	userAgent string
	// Of the claim to be remembered: the record, and what was found of it before it was counted.
	record  rememberedRecord
	finding tunnelpb.RememberedFinding
}

type credentialsAnswer struct {
	Session string `json:"session"`
	View    view   `json:"view"`
}

// credentials has the directory asked once for a login id, however often and wherever the request
// arrives.
func (s *Service) credentials(c echo.Context) error {
	started := s.cfg.Now()
	answer, err := s.login(c)
	s.metrics.steps.WithLabelValues("credentials", result(err)).Observe(s.cfg.Now().Sub(started).Seconds())
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, answer)
}

func (s *Service) login(c echo.Context) (*credentialsAnswer, error) {
	caller := s.cfg.Proxies.Caller(c.Request())
	if !s.address.Allow("credentials " + edge.Network(caller)) {
		return nil, errLimited()
	}
	cred, issued, err := s.readCredentials(c)
	if err != nil {
		return nil, err
	}
	// That the login id was given out says that there is such an enterprise.
	if !s.enterprise.Allow("credentials " + string(cred.token.Tenant)) {
		return nil, errLimited()
	}
	origin := c.Request().Header.Get("Origin")
	if len(origin) > maxOrigin {
		return nil, errInvalid("The page's origin is too long.", nil)
	}
	// The page may go; the directory has been asked all the same, and the answer is kept for it.
	ctx := context.WithoutCancel(c.Request().Context())
	k := key{cred.token.Tenant, cred.login}
	s.cfg.Log.DebugContext(ctx, "sealed credentials arrived", "step", 3, "login", k.login, "enterprise", k.tenant)
	cred.record = s.lookUp(ctx, c, &cred, origin)
	sess := session{
		request: s.keys.credentialsMAC(cred, origin), integration: string(cred.token.Integration), origin: origin,
		remote: addressText(caller), trace: string(edge.TraceOf(ctx)),
	}
	bearer := s.keys.newBearer(k.tenant, k.login, sess.request)
	sess.bearer = bearerHash(bearer)
	final, err := s.once(ctx, k, sess, cred, issued)
	if err != nil {
		return nil, err
	}
	if final.failure != nil {
		return nil, ended(final.failure)
	}
	if cred.Remembered != nil {
		shareWithCookies(c, origin) // the appliance has found it among those of the integration
	}
	if final.cookie != "" {
		setCookie(c, cred.Remembered.id(), final.cookie)
	}
	return &credentialsAnswer{Session: string(bearer), View: final.view}, nil
}

func (s *Service) readCredentials(c echo.Context) (cred credentials, issued time.Time, err error) {
	if err := edge.ReadJSON(c, maxBody, &cred); err != nil {
		return cred, issued, err
	}
	if cred.token, err = parseAccessToken(cred.AccessToken); err != nil {
		return cred, issued, errInvalid("The page's login settings are not right: the access token cannot be read.", err)
	}
	if err := cred.check(); err != nil {
		return cred, issued, errInvalid("The login request is not complete.", err)
	}
	cred.login = sallyport.LoginID(c.Param("login"))
	cred.userAgent = firstOctets(strings.ToValidUTF8(c.Request().UserAgent(), ""), maxUserAgent)
	issued, err = s.checkID(c.Param("login"), cred.token.Tenant)
	if err != nil {
		return cred, issued, err
	}
	if age := s.cfg.Now().Sub(issued); age > lifetime || age < -skew {
		return cred, issued, errLoginExpired()
	}
	return cred, issued, nil
}

func (c credentials) check() error {
	switch {
	case c.UserName == "" || len(c.UserName) > maxUserName:
		return errors.New("userName has not 1 to 256 octets")
	case c.KeyID == "" || len(c.KeyID) > maxKeyID:
		return errors.New("kid has not 1 to 64 octets")
	case len(c.Enc) != sealed.EncSize:
		return errors.New("enc has not 65 octets")
	case len(c.Ciphertext) != sealed.CiphertextSize:
		return errors.New("ciphertext has not 528 octets")
	case len(c.Language) > maxLanguage:
		return errors.New("language has more than 35 octets")
	case len(c.Shows) > maxShows || slices.ContainsFunc(c.Shows, func(kind string) bool { return len(kind) > maxKind }):
		return errors.New("shows has more than 16 kinds, or one of more than 16 octets")
	}
	return c.Remembered.check()
}

// once claims the login id for this request and asks, or joins whoever does so already.
func (s *Service) once(ctx context.Context, k key, sess session, cred credentials, issued time.Time) (session, error) {
	// The claim outlives the login id on the clock of every replica.
	ttl := issued.Add(lifetime + 2*skew).Sub(s.cfg.Now())
	won, by, holder, err := s.store.claim(ctx, k, sess.request, s.replica.instance, ttl)
	switch {
	case errors.Is(err, errGone):
		// Taken and given back between two commands: nobody asks the directory now.
		return session{}, errUnavailable(err)
	case err != nil:
		return session{}, errUnavailable(err)
	case !hmac.Equal(by, sess.request):
		return session{}, errUsed()
	case !won:
		return s.join(ctx, k, sess, holder)
	}
	return s.ask(ctx, k, sess, cred)
}

// ask has the directory asked, and keeps whatever came of it under the claim.
func (s *Service) ask(ctx context.Context, k key, sess session, cred credentials) (session, error) {
	if !s.inHand.Enter(string(k.tenant)) {
		s.giveBack(ctx, k)
		return session{}, errLimited()
	}
	defer s.inHand.Leave(string(k.tenant))
	claim, cookie := s.claimed(ctx, k, cred)
	next, wait, err := s.step(ctx, k, sess, &tunnelpb.LoginStep{Event: &tunnelpb.LoginStep_Credentials{
		Credentials: &tunnelpb.SealedCredentials{
			UserName: cred.UserName, Enc: cred.Enc, Ciphertext: cred.Ciphertext, KeyId: cred.KeyID, StatementIat: cred.IAT,
			Language: cred.Language, Shows: cred.Shows,
			Remembered: claim, UserAgent: cred.userAgent,
		}}}, askTimeout)
	switch {
	case err != nil && notAsked(err):
		s.giveBack(ctx, k)
		return session{}, err
	case err != nil:
		next = sess
		next.failure = failureOf(uncertainUnlessSaid(err))
		s.cfg.Log.WarnContext(ctx, "credentials not answered", "login", k.login, "enterprise", k.tenant,
			"support_code", next.failure.SupportCode, "trace", traceID(sess.trace), "error", err)
		next.view.Version = 1
	}
	s.keepRecord(ctx, k, &next)
	kept, err := s.keep(ctx, k, next, wait)
	kept.cookie = cookie
	return kept, err
}

// keep stores what the directory said; without that a repetition would not find it.
func (s *Service) keep(ctx context.Context, k key, next session, wait time.Duration) (session, error) {
	var err error
	for range 3 {
		if err = s.store.create(ctx, k, next, s.replica.instance, wait); err == nil || isChanged(err) {
			break
		}
		pause(ctx, backOffFirst)
	}
	if isChanged(err) {
		// A joiner took us for dead and said so to its page; it must not hear anything else now.
		return s.store.load(ctx, k)
	}
	if err != nil {
		return session{}, errUncertain(err)
	}
	s.metrics.views.WithLabelValues(phaseOf(next)).Inc()
	s.logEnd(ctx, k, next)
	if next.view.Phase == phaseWaiting && next.failure == nil {
		s.drive(k, next, wait)
	}
	s.told(k, next.latest())
	return next, nil
}

// notAsked: certainly no directory was asked, so the same request may come again.
func notAsked(err error) bool {
	switch sallyport.ErrorCode(err) {
	case sallyport.CodeUnavailable, sallyport.CodeLimited:
		return true
	case sallyport.CodeExpired:
		return timedOut(err)
	}
	return false
}

// uncertainUnlessSaid turns failures of which nobody knows how far they got into that answer.
func uncertainUnlessSaid(err error) error {
	if timedOut(err) || sallyport.ErrorCode(err) == sallyport.CodeInternal {
		return errUncertain(err)
	}
	return err
}

func (s *Service) giveBack(ctx context.Context, k key) {
	if err := s.store.release(ctx, k); err != nil {
		s.cfg.Log.WarnContext(ctx, "login id stays claimed", "login", k.login, "error", err)
	}
}

// join waits for the answer to the same request, which is being worked on by holder.
func (s *Service) join(ctx context.Context, k key, sess session, holder string) (session, error) {
	p := newPoll()
	if !s.watch.add(k.login, p) {
		return session{}, errLimited()
	}
	defer s.watch.remove(k.login, p)
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	for {
		found, err := s.store.load(ctx, k)
		if err == nil || !errors.Is(err, errGone) {
			return found, err
		}
		if _, _, err := s.store.claimed(ctx, k, len(sess.request)); errors.Is(err, errGone) {
			return session{}, errUnavailable(errors.New("the first request was not passed on"))
		}
		if ctx.Err() != nil || !s.replica.alive(ctx, holder) {
			return s.abandon(context.WithoutCancel(ctx), k, sess)
		}
		p.wait(ctx, joinEvery)
	}
}

// abandon ends a login whose first request was lost with its replica: whether the directory was
// asked nobody knows, so it is not asked again.
func (s *Service) abandon(ctx context.Context, k key, sess session) (session, error) {
	sess.failure = failureOf(errUncertain(nil))
	sess.view.Version = 1
	return s.keep(ctx, k, sess, 0)
}

func phaseOf(s session) string {
	if s.failure != nil {
		return "failed"
	}
	return s.view.Phase
}
