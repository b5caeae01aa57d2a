package fcm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"golang.org/x/oauth2/jwt"
	"golang.org/x/sync/singleflight"
)

const scope = "https://www.googleapis.com/auth/firebase.messaging"

// early is how long before its end an access token is replaced.
const early = time.Minute

// again is the least time between two tokens that were dropped as refused.
const again = time.Minute

// tokens makes access tokens from a service account (RFC 7523) and keeps the last one. It can drop one
// that was refused, which oauth2's own source cannot.
type tokens struct {
	config *jwt.Config
	ctx    context.Context // carries the HTTP client, as oauth2 wants it
	now    func() time.Time

	fetch singleflight.Group // those who come while a token is fetched share it, and its failure

	mu      sync.Mutex
	token   *oauth2.Token
	dropped time.Time
}

func newTokens(cfg Config, client *http.Client) (project string, t *tokens, err error) {
	var account struct {
		ProjectID string `json:"project_id"`
	}
	if err := json.Unmarshal(cfg.ServiceAccount, &account); err != nil || account.ProjectID == "" {
		return "", nil, errors.New("configure FCM: the service account is not the JSON file that Google made")
	}
	c, err := google.JWTConfigFromJSON(cfg.ServiceAccount, scope)
	if err != nil {
		return "", nil, fmt.Errorf("read FCM service account: %w", err)
	}
	if cfg.TokenURL != "" {
		c.TokenURL = cfg.TokenURL
	}
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, client)
	return account.ProjectID, &tokens{config: c, ctx: ctx, now: cfg.Now}, nil
}

// Token implements oauth2.TokenSource. The HTTP client bounds how long it takes.
func (t *tokens) Token() (*oauth2.Token, error) {
	if kept := t.current(); kept != nil && kept.Expiry.Sub(t.now()) > early {
		return kept, nil
	}
	fresh, err, _ := t.fetch.Do("", func() (any, error) {
		fresh, err := t.config.TokenSource(t.ctx).Token()
		if err != nil {
			return nil, err
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.token = fresh
		return fresh, nil
	})
	if err != nil {
		return nil, err
	}
	return fresh.(*oauth2.Token), nil
}

func (t *tokens) current() *oauth2.Token {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.token
}

// drop forgets a refused token and reports whether trying again may help: not when one was dropped a
// moment ago and the refused one is its successor.
func (t *tokens) drop(refused *oauth2.Token) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token != refused {
		return true
	}
	if t.token == nil || t.now().Sub(t.dropped) < again {
		return false
	}
	t.token, t.dropped = nil, t.now()
	return true
}
