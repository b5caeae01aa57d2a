package login

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/cloud/edge"
	"github.com/sallyport/sallyport/internal/browserkey"
)

// A remembered device is a browser that may skip the second factor. What the cloud keeps of it decides
// nothing: the token is the appliance's own, which it checks, together with the browser's signature and
// what the administrators say by then. The cloud counts the uses, so that a copy of a browser's storage is
// found out, and ties the browser to a cookie where it takes one.
//
//	login with the box ticked ──done──▶ record (token, key, origin; no use yet)
//	record ──signed, count goes up──▶ good: the token goes to the appliance
//	       ──signed, count does not go up, another login──▶ copied: the token is deleted for good
//	       ──signed, a cookie was seen before and is not there──▶ no cookie
//	       ──not signed──▶ as if nobody had said anything

const (
	// rememberedLife is the longest that any policy remembers a device.
	rememberedLife = sallyport.RememberMost
	// copiedLife is how long a record whose storage was copied is kept, without its token, so that the
	// request that showed it has the same answer when it is repeated.
	copiedLife = lifetime + 2*skew
	// maxToken bounds the appliance's token, in octets.
	maxToken = 2 << 10
	// maxUserAgent bounds what a browser says of itself, in octets.
	maxUserAgent = 256
)

// rememberedClaim is what a browser says that was remembered (docs/protocol/browser.md section 8).
type rememberedClaim struct {
	ID        octets `json:"id"`
	Uses      uint32 `json:"n"`
	Signature octets `json:"signature"`

	cookie sallyport.Secret // as it came; "": none
}

func (c *rememberedClaim) check() error {
	switch {
	case c == nil:
		return nil
	case len(c.ID) != browserkey.IDSize:
		return errors.New("remembered.id has not 16 octets")
	case len(c.Signature) != browserkey.SignatureSize:
		return errors.New("remembered.signature has not 64 octets")
	case c.Uses == 0:
		return errors.New("remembered.n begins with 1")
	}
	return nil
}

func (c *rememberedClaim) id() sallyport.RememberedID {
	id, _ := browserkey.NewID(c.ID)
	return id
}

// rememberedRecord is what is kept of a remembered device, and is not used up by a use.
type rememberedRecord struct {
	token, key []byte
	origin     string
}

func rememberedKey(tenant sallyport.TenantID, id sallyport.RememberedID) string {
	return "sp:{" + string(tenant) + "}:remembered:" + string(id)
}

// recall reads a record. One that is not there (any more) has no key.
func (st store) recall(ctx context.Context, tenant sallyport.TenantID, id sallyport.RememberedID) (r rememberedRecord, err error) {
	vals, err := st.redis.HMGet(ctx, rememberedKey(tenant, id), "t", "k", "o").Result()
	if err != nil {
		return r, wrap("read remembered device", err)
	}
	var f [3]string
	for i := range vals {
		f[i], _ = vals[i].(string)
	}
	return rememberedRecord{token: []byte(f[0]), key: []byte(f[1]), origin: f[2]}, nil
}

// remember keeps a record, once. Key 2, if any, is the record that it replaces.
var remember = redis.NewScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 't', ARGV[1], 'k', ARGV[2], 'o', ARGV[3], 'n', '0')
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
if KEYS[2] then redis.call('DEL', KEYS[2]) end
return 'done'
`)

func (st store) remember(ctx context.Context, tenant sallyport.TenantID, id, replaces sallyport.RememberedID, r rememberedRecord) error {
	keys := []string{rememberedKey(tenant, id)}
	if replaces != "" && replaces != id {
		keys = append(keys, rememberedKey(tenant, replaces))
	}
	return wrap("keep remembered device", remember.Run(ctx, st.redis, keys, r.token, r.key, r.origin, millis(rememberedLife)).Err())
}

// use counts a use that was signed. Arguments: the count, the login, the hash of the cookie that came or
// nothing, that of the next cookie, and how long a copied record is kept.
//
// Fields: n and l, count and login of the latest use; c, the cookie that was seen, which is required from
// then on; x, the one that was given out last, which may have got lost on its way; z, the login that
// showed that the storage was copied.
var use = redis.NewScript(`
local r = redis.call('HMGET', KEYS[1], 'n', 'l', 'c', 'x', 'z')
if not r[1] then return 'gone' end
if r[5] then
  if r[5] == ARGV[2] then return 'copied' end
  return 'gone'
end
local n, was = tonumber(ARGV[1]), tonumber(r[1])
if n < was or (n == was and r[2] ~= ARGV[2]) then
  redis.call('HDEL', KEYS[1], 't', 'c', 'x')
  redis.call('HSET', KEYS[1], 'z', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
  return 'copied'
end
redis.call('HSET', KEYS[1], 'n', ARGV[1], 'l', ARGV[2])
local seen = ARGV[3] ~= '' and (ARGV[3] == r[3] or ARGV[3] == r[4])
if r[3] and not seen then return 'no cookie' end
redis.call('HSET', KEYS[1], 'x', ARGV[4])
if seen then redis.call('HSET', KEYS[1], 'c', ARGV[3]) end
return 'good'
`)

func (st store) use(ctx context.Context, k key, c *rememberedClaim, next sallyport.Secret) (tunnelpb.RememberedFinding, error) {
	said, err := use.Run(ctx, st.redis, []string{rememberedKey(k.tenant, c.id())},
		formatVersion(c.Uses), string(k.login), cookieHash(c.cookie), cookieHash(next), millis(copiedLife)).Text()
	switch {
	case err != nil:
		return tunnelpb.RememberedFinding_REMEMBERED_UNSPECIFIED, wrap("count use of remembered device", err)
	case said == "good":
		return tunnelpb.RememberedFinding_REMEMBERED_GOOD, nil
	case said == "copied":
		return tunnelpb.RememberedFinding_REMEMBERED_COPIED, nil
	case said == "no cookie":
		return tunnelpb.RememberedFinding_REMEMBERED_NO_COOKIE, nil
	}
	return tunnelpb.RememberedFinding_REMEMBERED_GONE, nil
}

// offerCookie notes the cookie that a record's browser is given.
var offerCookie = redis.NewScript(`
if redis.call('HEXISTS', KEYS[1], 't') == 0 then return 'gone' end
redis.call('HSET', KEYS[1], 'x', ARGV[1])
return 'done'
`)

func (st store) offerCookie(ctx context.Context, tenant sallyport.TenantID, id sallyport.RememberedID, next sallyport.Secret) (bool, error) {
	said, err := offerCookie.Run(ctx, st.redis, []string{rememberedKey(tenant, id)}, cookieHash(next)).Text()
	return said == "done", wrap("note cookie of remembered device", err)
}

// newCookie is the secret that a login gives the browser's cookie. It is made again for a request that is
// repeated, and is never stored.
func (k keys) newCookie(tenant sallyport.TenantID, id sallyport.RememberedID, login sallyport.LoginID) sallyport.Secret {
	return sallyport.Secret(base64.RawURLEncoding.EncodeToString(mac(k.cookie, string(tenant), string(id), string(login))))
}

func cookieHash(c sallyport.Secret) string {
	if c == "" {
		return ""
	}
	h := sha256.Sum256([]byte(c))
	return string(h[:])
}

// cookieName names the cookie of one record: a browser may be remembered for several people. The prefix has
// the browser keep it for this very host, over TLS alone.
func cookieName(id sallyport.RememberedID) string { return "__Host-sallyport-" + string(id) }

func setCookie(c echo.Context, id sallyport.RememberedID, value sallyport.Secret) {
	c.SetCookie(&http.Cookie{
		Name: cookieName(id), Value: string(value), Path: "/", MaxAge: int(rememberedLife.Seconds()),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteNoneMode, Partitioned: true,
	})
}

// maxCookie is longer than any cookie that was set here.
const maxCookie = 64

func readCookie(c echo.Context, id sallyport.RememberedID) sallyport.Secret {
	cookie, err := c.Cookie(cookieName(id))
	if err != nil || len(cookie.Value) > maxCookie {
		return ""
	}
	return sallyport.Secret(cookie.Value)
}

// lookUp finds the record that a claim is about, for the origin that it was made at: of another one it is
// as if it were not there. That origin may then read the answer with cookies, whatever it is.
func (s *Service) lookUp(ctx context.Context, c echo.Context, cred *credentials, origin string) rememberedRecord {
	claim := cred.Remembered
	if claim == nil {
		return rememberedRecord{}
	}
	r, err := s.store.recall(ctx, cred.token.Tenant, claim.id())
	if err != nil {
		s.cfg.Log.WarnContext(ctx, "remembered device not looked up; the second factor is asked for", "login", cred.login, "error", err)
		cred.finding = tunnelpb.RememberedFinding_REMEMBERED_UNSPECIFIED
		return rememberedRecord{}
	}
	cred.finding = tunnelpb.RememberedFinding_REMEMBERED_GONE
	if len(r.key) == 0 || r.origin != origin {
		return rememberedRecord{}
	}
	shareWithCookies(c, origin)
	claim.cookie = readCookie(c, claim.id())
	return r
}

// claimed is what the appliance is told of the browser's claim; cookie is the browser's next one, if it is
// to have one.
func (s *Service) claimed(ctx context.Context, k key, cred credentials) (told *tunnelpb.RememberedClaim, cookie sallyport.Secret) {
	c := cred.Remembered
	if c == nil {
		return nil, ""
	}
	told = &tunnelpb.RememberedClaim{Id: c.ID, Uses: c.Uses, Signature: c.Signature, Finding: cred.finding}
	if len(cred.record.key) == 0 {
		return told, ""
	}
	signed := browserkey.Claim{Tenant: k.tenant, Integration: cred.token.Integration, Login: k.login, UserName: cred.UserName, ID: c.id(), Uses: c.Uses}
	if !signed.SignedBy(cred.record.key, c.Signature) {
		// Whoever has no key must not be able to count somebody else's uses.
		told.Finding = tunnelpb.RememberedFinding_REMEMBERED_UNSIGNED
		return told, ""
	}
	next := s.keys.newCookie(k.tenant, c.id(), k.login)
	var err error
	if told.Finding, err = s.store.use(ctx, k, c, next); err != nil {
		s.cfg.Log.WarnContext(ctx, "use of a remembered device not counted; the second factor is asked for", "login", k.login, "error", err)
		return told, ""
	}
	if told.Finding != tunnelpb.RememberedFinding_REMEMBERED_GOOD {
		s.cfg.Log.InfoContext(ctx, "remembered device not taken", "login", k.login, "enterprise", k.tenant, "why", told.Finding.String())
		return told, ""
	}
	told.Token = cred.record.token
	return told, next
}

// keepRecord keeps what the appliance says of a browser that is remembered from now on. Without it the
// second factor is asked for next time: no reason to end a login.
func (s *Service) keepRecord(ctx context.Context, k key, next *session) {
	r := next.record
	if r == nil {
		return
	}
	id, ok := browserkey.NewID(r.GetId())
	_, err := browserkey.ParseKey(r.GetKey())
	if !ok || err != nil || len(r.GetToken()) == 0 || len(r.GetToken()) > maxToken {
		s.cfg.Log.WarnContext(ctx, "remembered device not kept: the appliance's record is not one", "login", k.login, "enterprise", k.tenant)
		return
	}
	replaces, ok := browserkey.NewID(r.GetReplaces())
	if !ok {
		replaces = ""
	}
	err = s.store.remember(ctx, k.tenant, id, replaces, rememberedRecord{token: r.GetToken(), key: r.GetKey(), origin: next.origin})
	if err != nil {
		s.cfg.Log.WarnContext(ctx, "remembered device not kept", "login", k.login, "enterprise", k.tenant, "error", err)
		return
	}
	next.remembered = id
}

// remembered gives the browser of a login that is to be remembered its cookie.
func (s *Service) remembered(c echo.Context) error {
	if !s.address.Allow("message " + edge.Network(s.cfg.Proxies.Caller(c.Request()))) {
		return errLimited()
	}
	k, sess, err := s.authorize(c)
	if err != nil {
		return err
	}
	// The appliance has found this origin among those of the integration, or there were no session.
	if c.Request().Header.Get("Origin") != sess.origin {
		return errBearer(fmt.Errorf("the login was at origin %q", sess.origin))
	}
	shareWithCookies(c, sess.origin)
	if sess.remembered == "" {
		return sallyport.Errorf(sallyport.CodeNotFound, "This browser is not to be remembered.", nil)
	}
	cookie := s.keys.newCookie(k.tenant, sess.remembered, k.login)
	kept, err := s.store.offerCookie(c.Request().Context(), k.tenant, sess.remembered, cookie)
	switch {
	case err != nil:
		return errUnavailable(err)
	case !kept:
		return sallyport.Errorf(sallyport.CodeNotFound, "This browser is not to be remembered.", nil)
	}
	setCookie(c, sess.remembered, cookie)
	return c.NoContent(http.StatusNoContent)
}

// withCookies lets a page ask with its cookies. What it asks for says whether it may see the answer: until
// then the answer is for any page that asked without them.
func withCookies(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h, origin := c.Response().Header(), c.Request().Header.Get("Origin")
		h.Add("Vary", "Origin")
		if c.Request().Method != http.MethodOptions || origin == "" {
			h.Set("Access-Control-Allow-Origin", "*")
			return next(c)
		}
		// What may be asked is no secret: the answer to a preflight is the same for every page.
		shareWithCookies(c, origin)
		h.Set("Access-Control-Allow-Methods", corsMethods)
		h.Set("Access-Control-Allow-Headers", corsHeaders)
		h.Set("Access-Control-Max-Age", corsMaxAge)
		return c.NoContent(http.StatusNoContent)
	}
}

func shareWithCookies(c echo.Context, origin string) {
	h := c.Response().Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
}
