package stack

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/harness"
)

// API is the administrative HTTP API of one appliance, for an administrator's program with a token.
type API struct {
	base  string
	token sallyport.Secret
	http  *http.Client
}

// consoleRuns is what an appliance logs of its console: its address, and its certificate's fingerprint.
var consoleRuns = regexp.MustCompile(`msg="console runs" address=(\S+) .*certificate_sha256=([0-9A-F:]+)`)

// API returns the API of one of the appliances for a new super administrator with a token that may write.
func (s *Stack) API(tb testing.TB, appliance int) *API {
	tb.Helper()
	token, err := s.newToken()
	if err != nil {
		tb.Fatalf("make API token: %v", err)
	}
	a, err := apiOf(s.Appliances[appliance], token)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// Console returns the address of an appliance's console, and a client that trusts its certificate.
func (s *Stack) Console(tb testing.TB, appliance int) (address string, client *http.Client) {
	tb.Helper()
	a, err := apiOf(s.Appliances[appliance], "")
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSuffix(a.base, "/api/v1"), a.http
}

func (s *Stack) newToken() (sallyport.Secret, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var b [32]byte
	rand.Read(b[:])
	token, now := sallyport.Secret("sallyport_"+hex.EncodeToString(b[:])), time.Now()
	db := s.Store.As(sallyport.Actor{Kind: sallyport.ActorLocal, Name: "root@test", Role: sallyport.RoleSuper})
	name := "program-" + hex.EncodeToString(b[:4])
	a, err := db.PutAdministrator(ctx, sallyport.Administrator{ID: sallyport.AdministratorID(name), Name: name, DisplayName: name, Role: sallyport.RoleSuper, Created: now})
	if err != nil {
		return "", err
	}
	return token, db.PutAPIToken(ctx, sallyport.APIToken{ID: sallyport.NewID(), Owner: a.ID, Name: "test", Role: sallyport.RoleSuper, Access: sallyport.TokenWrites,
		Created: now, Expires: now.Add(time.Hour)}, sha256.Sum256([]byte(token)))
}

// apiOf finds the console of an appliance that runs, and trusts the certificate that its log tells of.
func apiOf(p *harness.Program, token sallyport.Secret) (*API, error) {
	address, fingerprint, err := consoleOf(p)
	if err != nil {
		return nil, err
	}
	want := strings.ToLower(strings.ReplaceAll(fingerprint, ":", ""))
	known := &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(c tls.ConnectionState) error { // the appliance's own, so it is known by its hash
		if sum := sha256.Sum256(c.PeerCertificates[0].Raw); hex.EncodeToString(sum[:]) != want {
			return errors.New("another certificate than the log tells of")
		}
		return nil
	}}
	return &API{base: "https://" + address + "/api/v1", token: token, http: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: known}}}, nil
}

// consoleOf is where the console of an appliance listens, and its certificate's fingerprint, as the appliance's log tells.
func consoleOf(p *harness.Program) (address, fingerprint string, err error) {
	all := consoleRuns.FindAllStringSubmatch(p.Log(), -1)
	if len(all) == 0 {
		return "", "", fmt.Errorf("%s has not told where its console is", p.Name())
	}
	told := all[len(all)-1]
	return told[1], told[2], nil
}

// Do asks the API, and reads its answer into v unless v is nil. It returns the ETag. version is sent in If-Match; 0: none.
func (a *API) Do(ctx context.Context, method, path string, version int64, body, v any) (int64, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return 0, fmt.Errorf("encode %s %s: %w", method, path, err)
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(text))
	if err != nil {
		return 0, fmt.Errorf("make request: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+string(a.token))
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if version != 0 {
		r.Header.Set("If-Match", fmt.Sprintf(`"%d"`, version))
	}
	resp, err := a.http.Do(r)
	if err != nil {
		return 0, fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil || resp.StatusCode/100 != 2 {
		return 0, fmt.Errorf("%s %s: %s %s: %w", method, path, resp.Status, answer, errors.Join(err, errRefused))
	}
	if v != nil {
		if err := json.Unmarshal(answer, v); err != nil {
			return 0, fmt.Errorf("read answer of %s %s: %w", method, path, err)
		}
	}
	var tag int64
	_, _ = fmt.Sscanf(resp.Header.Get("ETag"), `"%d"`, &tag) // 0: it has none
	return tag, nil
}

var errRefused = errors.New("refused")
