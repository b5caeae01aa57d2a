package pushsim_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport/sallyport/test/pushsim"
)

func start(t *testing.T) *pushsim.Sim {
	t.Helper()
	s, err := pushsim.Start(pushsim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func client(t *testing.T, s *pushsim.Sim) *http.Client {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.Roots}, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func providerToken(t *testing.T, s *pushsim.Sim, change func(*jwt.Token)) string {
	t.Helper()
	block, _ := pem.Decode(s.P8)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": s.TeamID, "iat": time.Now().Unix()})
	token.Header["kid"] = s.KeyID
	if change != nil {
		change(token)
	}
	signed, err := token.SignedString(key.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func claim(name string, value any) func(*jwt.Token) {
	return func(t *jwt.Token) { t.Claims.(jwt.MapClaims)[name] = value }
}

func TestAPNsSideChecksWhatAppleChecks(t *testing.T) {
	s := start(t)
	c := client(t, s)
	known, gone := s.Register(pushsim.APNs), s.Register(pushsim.APNs)
	s.Unregister(gone)
	payload := `{"aps":{"alert":{"title":"t","body":"b"}},"c":"c1"}`
	for name, tc := range map[string]struct {
		change func(*http.Request)
		body   string
		token  func(*jwt.Token)
		status int
		reason string
	}{
		"good":              {status: 200},
		"method":            {change: func(r *http.Request) { r.Method = "GET" }, status: 405, reason: "MethodNotAllowed"},
		"path":              {change: func(r *http.Request) { r.URL.Path = "/2/" }, status: 404, reason: "BadPath"},
		"no device":         {change: func(r *http.Request) { r.URL.Path = "/3/device/" }, status: 400, reason: "MissingDeviceToken"},
		"device not hex":    {change: func(r *http.Request) { r.URL.Path = "/3/device/xyz" }, status: 400, reason: "BadDeviceToken"},
		"unknown device":    {change: func(r *http.Request) { r.URL.Path = "/3/device/00" }, status: 400, reason: "BadDeviceToken"},
		"gone":              {change: func(r *http.Request) { r.URL.Path = "/3/device/" + gone }, status: 410, reason: "Unregistered"},
		"no token":          {change: func(r *http.Request) { r.Header.Del("authorization") }, status: 403, reason: "MissingProviderToken"},
		"issuer":            {token: claim("iss", "OTHER"), status: 403, reason: "InvalidProviderToken"},
		"key id":            {token: func(t *jwt.Token) { t.Header["kid"] = "OTHER" }, status: 403, reason: "InvalidProviderToken"},
		"two hours old":     {token: claim("iat", time.Now().Add(-2*time.Hour).Unix()), status: 403, reason: "ExpiredProviderToken"},
		"from tomorrow":     {token: claim("iat", time.Now().Add(24*time.Hour).Unix()), status: 403, reason: "InvalidProviderToken"},
		"no topic":          {change: func(r *http.Request) { r.Header.Del("apns-topic") }, status: 400, reason: "MissingTopic"},
		"other topic":       {change: func(r *http.Request) { r.Header.Set("apns-topic", "x") }, status: 400, reason: "TopicDisallowed"},
		"push type":         {change: func(r *http.Request) { r.Header.Set("apns-push-type", "x") }, status: 400, reason: "InvalidPushType"},
		"priority":          {change: func(r *http.Request) { r.Header.Set("apns-priority", "7") }, status: 400, reason: "BadPriority"},
		"expiration":        {change: func(r *http.Request) { r.Header.Set("apns-expiration", "soon") }, status: 400, reason: "BadExpirationDate"},
		"collapse id":       {change: func(r *http.Request) { r.Header.Set("apns-collapse-id", strings.Repeat("x", 65)) }, status: 400, reason: "BadCollapseId"},
		"payload empty":     {body: " ", status: 400, reason: "PayloadEmpty"},
		"payload too large": {body: `{"aps":"` + strings.Repeat("x", 4096) + `"}`, status: 413, reason: "PayloadTooLarge"},
	} {
		t.Run(name, func(t *testing.T) {
			body := payload
			if tc.body != "" {
				body = tc.body
			}
			req, err := http.NewRequest("POST", s.APNsURL+"/3/device/"+known, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("authorization", "bearer "+providerToken(t, s, tc.token))
			req.Header.Set("apns-topic", s.Topic)
			req.Header.Set("apns-push-type", "alert")
			req.Header.Set("apns-expiration", strconv.FormatInt(time.Now().Add(time.Minute).Unix(), 10))
			if tc.change != nil {
				tc.change(req)
			}
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			var got struct{ Reason string }
			if err := json.NewDecoder(resp.Body).Decode(&got); err != nil && err != io.EOF {
				t.Fatal(err)
			}
			if resp.StatusCode != tc.status || got.Reason != tc.reason || resp.ProtoMajor != 2 {
				t.Errorf("%d %s over %s", resp.StatusCode, got.Reason, resp.Proto)
			}
		})
	}
	if n := len(s.Pushes()); n != 1 {
		t.Errorf("%d pushes accepted", n)
	}
}

func TestTokenEndpointGivesNothingForABadAssertion(t *testing.T) {
	s := start(t)
	for _, assertion := range []string{"", "x", providerToken(t, s, nil)} {
		resp, err := client(t, s).PostForm(s.TokenURL, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}})
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.Body.Close() != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 400 || !bytes.Contains(text, []byte("invalid_grant")) {
			t.Errorf("%d %s", resp.StatusCode, text)
		}
	}
}

func TestFCMSideWantsAnAccessToken(t *testing.T) {
	s := start(t)
	resp, err := client(t, s).Post(s.FCMURL+"/v1/projects/"+s.Project+"/messages:send", "application/json", strings.NewReader(`{"message":{"token":"sim:x"}}`))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != 401 {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestAPhoneHearsWhatIsSentToIt(t *testing.T) {
	s := start(t)
	resp, err := http.Post(s.ControlURL+"/register?provider=apns", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	var phone struct{ Provider, Token string }
	if err := json.NewDecoder(resp.Body).Decode(&phone); err != nil || resp.Body.Close() != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("Access-Control-Allow-Origin") != "*" || phone.Provider != "apns" {
		t.Errorf("registered %+v, %v", phone, resp.Header)
	}
	send(t, s, phone.Token, "before") // nobody listens yet
	stream, err := http.Get(s.ControlURL + "/listen?token=" + phone.Token)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Body.Close() }()
	lines := bufio.NewScanner(stream.Body)
	if got := next(t, lines); got != "before" {
		t.Errorf("heard %s", got)
	}
	send(t, s, phone.Token, "now")
	if got := next(t, lines); got != "now" {
		t.Errorf("heard %s", got)
	}
	unknown, err := http.Get(s.ControlURL + "/listen?token=x")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unknown.Body.Close() }()
	if unknown.StatusCode != 404 {
		t.Errorf("unknown address: %d", unknown.StatusCode)
	}
}

func next(t *testing.T, lines *bufio.Scanner) string {
	t.Helper()
	for lines.Scan() {
		if text, found := strings.CutPrefix(lines.Text(), "data: "); found {
			var m struct{ Data map[string]string }
			if err := json.Unmarshal([]byte(text), &m); err != nil {
				t.Fatal(err)
			}
			return m.Data["c"]
		}
	}
	t.Fatal("the stream ended")
	return ""
}

func send(t *testing.T, s *pushsim.Sim, token, challenge string) {
	t.Helper()
	req, err := http.NewRequest("POST", s.APNsURL+"/3/device/"+token, strings.NewReader(`{"aps":{"alert":{"title":"t"}},"c":"`+challenge+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("authorization", "bearer "+providerToken(t, s, nil))
	req.Header.Set("apns-topic", s.Topic)
	req.Header.Set("apns-push-type", "alert")
	req.Header.Set("apns-expiration", strconv.FormatInt(time.Now().Add(time.Minute).Unix(), 10))
	resp, err := client(t, s).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != 200 {
		t.Fatalf("status %d", resp.StatusCode)
	}
}

func TestFaultsComeOverTheControlAPI(t *testing.T) {
	s := start(t)
	body := `{"provider":"apns","status":429,"reason":"TooManyRequests","retryAfter":3,"count":1}`
	resp, err := http.Post(s.ControlURL+"/control/faults", "application/json", strings.NewReader(body))
	if err != nil || resp.Body.Close() != nil || resp.StatusCode != 204 {
		t.Fatalf("%v %v", resp, err)
	}
	c := client(t, s)
	for _, want := range []int{429, 403} { // the fault, once; then the missing credential
		resp, err := c.Post(s.APNsURL+"/3/device/00", "application/json", strings.NewReader("{}"))
		if err != nil || resp.Body.Close() != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != want || want == 429 && resp.Header.Get("Retry-After") != "3" {
			t.Errorf("status %d, want %d", resp.StatusCode, want)
		}
	}
}
