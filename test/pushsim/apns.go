package pushsim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport/sallyport"
)

// Apple's limits ("Sending notification requests to APNs").
const (
	apnsMaxPayload  = 4096
	apnsMaxCollapse = 64
	apnsTokenLife   = time.Hour
)

// refusal is a status with Apple's reason; the zero value is none.
type refusal struct {
	status int
	reason string
}

func (s *Sim) apnsHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.URL.Path, "/3/device/")
		body, err := io.ReadAll(io.LimitReader(r.Body, 2*apnsMaxPayload))
		if err != nil {
			return
		}
		if r.Method == http.MethodPost && s.fault(w, r, APNs, token, refuseAPNs) {
			return
		}
		for _, check := range []func() refusal{
			func() refusal { return apnsRequest(r, token) },
			func() refusal { return s.apnsCredential(r) },
			func() refusal { return s.apnsHeaders(r.Header) },
			func() refusal { return apnsPayload(body) },
			func() refusal { return s.apnsAddress(token) },
		} {
			if bad := check(); bad.status != 0 {
				refuseAPNs(w, bad.status, bad.reason)
				return
			}
		}
		w.Header().Set("apns-id", sallyport.NewID())
		s.book.accept(s.apnsPush(token, r.Header, body))
	})
}

func refuseAPNs(w http.ResponseWriter, status int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("apns-id", sallyport.NewID())
	w.WriteHeader(status)
	body := map[string]any{"reason": reason}
	if status == http.StatusGone {
		body["timestamp"] = time.Now().UnixMilli()
	}
	_ = json.NewEncoder(w).Encode(body)
}

func apnsRequest(r *http.Request, token string) refusal {
	switch {
	case r.ProtoMajor != 2:
		return refusal{http.StatusHTTPVersionNotSupported, "BadPath"}
	case r.Method != http.MethodPost:
		return refusal{http.StatusMethodNotAllowed, "MethodNotAllowed"}
	case !strings.HasPrefix(r.URL.Path, "/3/device/"):
		return refusal{http.StatusNotFound, "BadPath"}
	case token == "":
		return refusal{http.StatusBadRequest, "MissingDeviceToken"}
	}
	return refusal{}
}

// apnsCredential checks the certificate or the provider token: ES256, kid, iss, and iat within the hour.
func (s *Sim) apnsCredential(r *http.Request) refusal {
	if certs := r.TLS.PeerCertificates; len(certs) > 0 {
		if sha256.Sum256(certs[0].Raw) != sha256.Sum256(s.Certificate.Certificate[0]) {
			return refusal{http.StatusForbidden, "BadCertificate"}
		}
		return refusal{}
	}
	bearer, found := strings.CutPrefix(r.Header.Get("authorization"), "bearer ")
	if !found {
		return refusal{http.StatusForbidden, "MissingProviderToken"}
	}
	claims := jwt.RegisteredClaims{}
	_, err := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithoutClaimsValidation()).ParseWithClaims(bearer, &claims, func(t *jwt.Token) (any, error) {
		if t.Header["kid"] != s.KeyID {
			return nil, jwt.ErrTokenUnverifiable
		}
		return s.apnsKey, nil
	})
	if err != nil || claims.Issuer != s.TeamID || claims.IssuedAt == nil || claims.IssuedAt.After(s.now().Add(time.Minute)) {
		return refusal{http.StatusForbidden, "InvalidProviderToken"}
	}
	if s.now().Sub(claims.IssuedAt.Time) > apnsTokenLife {
		return refusal{http.StatusForbidden, "ExpiredProviderToken"}
	}
	return refusal{}
}

func (s *Sim) apnsHeaders(h http.Header) refusal {
	switch topic := h.Get("apns-topic"); topic {
	case "":
		return refusal{http.StatusBadRequest, "MissingTopic"}
	case s.Topic:
	default:
		return refusal{http.StatusBadRequest, "TopicDisallowed"}
	}
	switch h.Get("apns-push-type") {
	case "alert", "background", "controls", "location", "voip", "complication", "fileprovider", "mdm", "liveactivity", "pushtotalk", "widgets":
	default:
		return refusal{http.StatusBadRequest, "InvalidPushType"}
	}
	switch h.Get("apns-priority") {
	case "", "1", "5", "10":
	default:
		return refusal{http.StatusBadRequest, "BadPriority"}
	}
	if e := h.Get("apns-expiration"); e != "" {
		if _, err := strconv.ParseUint(e, 10, 40); err != nil {
			return refusal{http.StatusBadRequest, "BadExpirationDate"}
		}
	}
	if len(h.Get("apns-collapse-id")) > apnsMaxCollapse {
		return refusal{http.StatusBadRequest, "BadCollapseId"}
	}
	return refusal{}
}

func apnsPayload(body []byte) refusal {
	if len(body) > apnsMaxPayload {
		return refusal{http.StatusRequestEntityTooLarge, "PayloadTooLarge"}
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(bytes.TrimSpace(body), &object); err != nil || len(object) == 0 {
		return refusal{http.StatusBadRequest, "PayloadEmpty"}
	}
	return refusal{}
}

func (s *Sim) apnsAddress(token string) refusal {
	if _, err := hex.DecodeString(token); err != nil {
		return refusal{http.StatusBadRequest, "BadDeviceToken"}
	}
	known, unregistered := s.book.look(APNs, token)
	switch {
	case !known:
		return refusal{http.StatusBadRequest, "BadDeviceToken"}
	case !unregistered.IsZero():
		return refusal{http.StatusGone, "Unregistered"}
	}
	return refusal{}
}

func (s *Sim) apnsPush(token string, h http.Header, body []byte) Push {
	var in struct {
		APS struct {
			Alert struct{ Title, Body string } `json:"alert"`
		} `json:"aps"`
		Challenge string `json:"c"`
	}
	_ = json.Unmarshal(body, &in) // another app's payload has other fields; Raw keeps it whole
	seconds, _ := strconv.ParseInt(h.Get("apns-expiration"), 10, 64)
	return Push{
		Provider: APNs, Token: token, At: s.now(), Title: in.APS.Alert.Title, Body: in.APS.Alert.Body,
		Data: map[string]string{"c": in.Challenge}, CollapseID: h.Get("apns-collapse-id"),
		Expires: time.Unix(seconds, 0), Priority: h.Get("apns-priority"), Raw: body,
	}
}
