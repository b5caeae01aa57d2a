package deviceproto_test

import (
	"crypto/ecdsa"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

var request = deviceproto.Request{Audience: "https://t.example", Method: "POST", Path: "/v1/challenges/c1/answer", Body: []byte(`{}`)}

func (p phone) find(tenant sallyport.TenantID, id sallyport.DeviceID) (*ecdsa.PublicKey, error) {
	if tenant != p.tenant || id != p.id {
		return nil, errors.New("unknown")
	}
	return &p.key.PublicKey, nil
}

func TestAuthorizationHoldsForItsRequestOnly(t *testing.T) {
	p, other := newPhone(t), newPhone(t)
	header, err := deviceproto.Authorize(p.key, p.tenant, request, now)
	if err != nil {
		t.Fatal(err)
	}
	a, err := deviceproto.VerifyAuthorization(header, p.find, request, now)
	if err != nil || a.Device != p.id || a.Tenant != p.tenant || a.ID == "" || !a.Expires.Equal(now.Add(time.Minute)) {
		t.Fatalf("authorization = %+v, %v", a, err)
	}
	for name, change := range map[string]func(*deviceproto.Request){
		"audience": func(r *deviceproto.Request) { r.Audience = "https://u.example" },
		"method":   func(r *deviceproto.Request) { r.Method = "PUT" },
		"path":     func(r *deviceproto.Request) { r.Path = "/v1/challenges/c2/answer" },
		"body":     func(r *deviceproto.Request) { r.Body = []byte(`{ }`) },
	} {
		changed := request
		change(&changed)
		if _, err := deviceproto.VerifyAuthorization(header, p.find, changed, now); sallyport.ErrorCode(err) != sallyport.CodeDenied {
			t.Errorf("holds with another %s: %v", name, err)
		}
	}
	if _, err := deviceproto.VerifyAuthorization(header, other.find, request, now); sallyport.ErrorCode(err) != sallyport.CodeDenied {
		t.Errorf("holds for an unknown device: %v", err)
	}
	wrong := func(sallyport.TenantID, sallyport.DeviceID) (*ecdsa.PublicKey, error) {
		return &other.key.PublicKey, nil
	}
	if _, err := deviceproto.VerifyAuthorization(header, wrong, request, now); sallyport.ErrorCode(err) != sallyport.CodeDenied {
		t.Errorf("holds with another device's key: %v", err)
	}
}

func TestAuthorizationHoldsWhileClocksDifferByLessThan90Seconds(t *testing.T) {
	p := newPhone(t)
	for skew, want := range map[time.Duration]bool{
		0: true, 89 * time.Second: true, -89 * time.Second: true,
		91 * time.Second: false, -(60 + 90) * time.Second: false, time.Hour: false, -time.Hour: false,
	} {
		header, err := deviceproto.Authorize(p.key, p.tenant, request, now.Add(skew))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := deviceproto.VerifyAuthorization(header, p.find, request, now); (err == nil) != want {
			t.Errorf("device clock off by %s: %v", skew, err)
		}
	}
}

func TestAFailingLookUpIsNotADenial(t *testing.T) {
	p := newPhone(t)
	header, err := deviceproto.Authorize(p.key, p.tenant, request, now)
	if err != nil {
		t.Fatal(err)
	}
	down := func(sallyport.TenantID, sallyport.DeviceID) (*ecdsa.PublicKey, error) {
		return nil, sallyport.Errorf(sallyport.CodeUnavailable, "later", nil)
	}
	if _, err := deviceproto.VerifyAuthorization(header, down, request, now); sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
		t.Errorf("error = %v", err)
	}
}

// mint signs arbitrary claims and headers, as an attacker with a key of their own can.
func mint(t *testing.T, method jwt.SigningMethod, key any, header, claims map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, jwt.MapClaims(claims))
	for k, v := range header {
		token.Header[k] = v
	}
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return "Device " + s
}

func TestForgedAuthorizationsAreDenied(t *testing.T) {
	p := newPhone(t)
	body := "RBNvo1WzZ4oRRq0W9-hknpT7T8If536DEMBg9hyq_4o" // SHA-256 of {}
	claims := func(change map[string]any) map[string]any {
		c := map[string]any{"iss": string(p.id), "tenant": string(p.tenant), "aud": request.Audience, "iat": now.Unix(), "exp": now.Unix() + 60,
			"jti": "j1", "htm": request.Method, "htu": request.Path, "bh": body}
		for k, v := range change {
			c[k] = v
		}
		return c
	}
	header := map[string]any{"typ": "sallyport-device+jwt", "kid": string(p.id)}
	es256 := jwt.SigningMethodES256
	good := mint(t, es256, p.key, header, claims(nil))
	if _, err := deviceproto.VerifyAuthorization(good, p.find, request, now); err != nil {
		t.Fatalf("the pattern itself is denied: %v", err)
	}
	for name, forged := range map[string]string{
		"none":            mint(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, header, claims(nil)),
		"HMAC by the key": mint(t, jwt.SigningMethodHS256, p.der, header, claims(nil)),
		"other typ":       mint(t, es256, p.key, map[string]any{"typ": "sallyport-answer+jwt", "kid": string(p.id)}, claims(nil)),
		"other kid":       mint(t, es256, p.key, map[string]any{"typ": "sallyport-device+jwt", "kid": "x"}, claims(nil)),
		"critical header": mint(t, es256, p.key, map[string]any{"typ": "sallyport-device+jwt", "kid": string(p.id), "crit": []string{"b64"}}, claims(nil)),
		"other iss":       mint(t, es256, p.key, header, claims(map[string]any{"iss": "x"})),
		"other tenant":    mint(t, es256, p.key, header, claims(map[string]any{"tenant": "clinic"})),
		"tenant in key":   mint(t, es256, p.key, header, claims(map[string]any{"tenant": "a}:ts:{b"})),
		"no jti":          mint(t, es256, p.key, header, claims(map[string]any{"jti": ""})),
		"long life":       mint(t, es256, p.key, header, claims(map[string]any{"exp": now.Unix() + 3600})),
		"ends before":     mint(t, es256, p.key, header, claims(map[string]any{"exp": now.Unix() - 1})),
		"huge times":      mint(t, es256, p.key, header, claims(map[string]any{"iat": -1 << 62, "exp": 1 << 62})),
		"cut":             good[:len(good)-4],
		"bearer":          strings.Replace(good, "Device ", "Bearer ", 1),
		"nothing":         "",
		"huge":            "Device " + strings.Repeat("a", 5000),
	} {
		if _, err := deviceproto.VerifyAuthorization(forged, p.find, request, now); sallyport.ErrorCode(err) != sallyport.CodeDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzVerifyAuthorization(f *testing.F) {
	p := newPhone(f)
	header, err := deviceproto.Authorize(p.key, p.tenant, request, now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(header)
	f.Add("Device " + base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"sallyport-device+jwt"}`)) + ".e30.AA")
	f.Add("Device ..")
	f.Fuzz(func(t *testing.T, forged string) {
		a, err := deviceproto.VerifyAuthorization(forged, p.find, request, now)
		if err == nil && forged != header {
			t.Fatalf("accepted %q as %+v", forged, a)
		}
		if err != nil && sallyport.ErrorCode(err) != sallyport.CodeDenied {
			t.Fatalf("code %s", sallyport.ErrorCode(err))
		}
	})
}
