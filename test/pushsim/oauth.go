package pushsim

import (
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport/sallyport"
)

const (
	fcmScope        = "https://www.googleapis.com/auth/firebase.messaging"
	jwtBearer       = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	accessTokenLife = time.Hour
	simTokenPrefix  = "ya29.sim."
)

// serveToken is Google's token endpoint for service accounts (RFC 7523 section 4).
func (s *Sim) serveToken(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	refuse := func(w http.ResponseWriter, status int, code string) {
		writeJSON(w, status, map[string]string{"error": code, "error_description": "Refused by the simulator."})
	}
	if s.fault(w, r, OAuth, "", refuse) {
		return
	}
	if r.FormValue("grant_type") != jwtBearer {
		refuse(w, http.StatusBadRequest, "unsupported_grant_type")
		return
	}
	if !s.assertionHolds(r.FormValue("assertion")) {
		refuse(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	token, err := s.newAccessToken()
	if err != nil {
		refuse(w, http.StatusInternalServerError, "internal_failure")
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"access_token": token, "expires_in": int(accessTokenLife / time.Second), "token_type": "Bearer"})
}

func (s *Sim) assertionHolds(assertion string) bool {
	var claims struct {
		jwt.RegisteredClaims
		Scope string `json:"scope"`
	}
	p := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithAudience(s.TokenURL), jwt.WithIssuer(s.email),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(time.Minute), jwt.WithTimeFunc(s.now))
	_, err := p.ParseWithClaims(assertion, &claims, func(*jwt.Token) (any, error) { return s.fcmKey, nil })
	return err == nil && claims.IssuedAt != nil && claims.ExpiresAt.Sub(claims.IssuedAt.Time) <= accessTokenLife &&
		strings.Contains(" "+claims.Scope+" ", " "+fcmScope+" ")
}

// newAccessToken makes a token that the FCM side can check without remembering it, with a MAC under
// a secret of this run.
func (s *Sim) newAccessToken() (string, error) {
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{ID: sallyport.NewID(), ExpiresAt: jwt.NewNumericDate(s.now().Add(accessTokenLife))})
	signed, err := t.SignedString(s.P8)
	return simTokenPrefix + signed, err
}

func (s *Sim) tokenHolds(token string) bool {
	signed, found := strings.CutPrefix(token, simTokenPrefix)
	if !found {
		return false
	}
	_, err := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithTimeFunc(s.now)).ParseWithClaims(signed, &jwt.RegisteredClaims{}, func(*jwt.Token) (any, error) {
		return s.P8, nil
	})
	return err == nil
}
