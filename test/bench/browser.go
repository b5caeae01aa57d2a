package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/internal/sealed"
)

// measureBrowser times requests of a browser that an appliance answers, one at a time over a kept
// HTTPS connection: at the replica that holds the appliance's streams, and at another one. Beside them
// a plain HTTPS server with the same library and as long an answer.
func measureBrowser(ctx context.Context, b *bench) ([]row, error) {
	w, err := b.newWorld(ctx)
	if err != nil {
		return nil, err
	}
	defer w.close()
	paths, err := w.browserPaths(ctx)
	if err != nil {
		return nil, err
	}
	paths = append(paths, path{redisAlone, w.redisTrips})
	n := pick(b, 1000, 200)
	took := map[string][]time.Duration{} // medians of batches
	for range pick(b, 7, 2) {
		for _, p := range paths {
			times, err := p.batch(ctx, n)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
			took[p.name] = append(took[p.name], median(times))
		}
	}
	plain := median(took["plain"])
	var rows []row
	for _, p := range paths[1:] {
		if p.name == redisAlone {
			continue
		}
		p50 := median(took[p.name])
		ratio := float64(p50) / float64(plain)
		rows = append(rows, row{what: "Browser to appliance and back: " + p.name, ours: "p50 " + micros(p50), peer: "plain HTTPS: p50 " + micros(plain),
			ratio: fmt.Sprintf("%.2f", ratio), target: "≤ 2", met: ratio <= 2})
	}
	return append(rows, row{what: "One round trip to Redis, for scale", ours: "p50 " + micros(median(took[redisAlone])), info: true}), nil
}

const redisAlone = "Redis"

// redisTrips times the smallest command.
func (w *world) redisTrips(ctx context.Context, n int) ([]time.Duration, error) {
	times := make([]time.Duration, n)
	for i := range times {
		begun := time.Now()
		if err := w.redis.Exists(ctx, "nothing").Err(); err != nil {
			return nil, err
		}
		times[i] = time.Since(begun)
	}
	return times, nil
}

// path is a way that requests take. batch returns the times of n of them.
type path struct {
	name  string
	batch func(ctx context.Context, n int) ([]time.Duration, error)
}

func (w *world) browserPaths(ctx context.Context) ([]path, error) {
	_, peer, err := w.start(ctx, "https", "https", []string{w.file("server.crt"), w.file("server.key")}, nil)
	if err != nil {
		return nil, err
	}
	_, near, err := w.startCloud(ctx, "near", true, "127.0.0.1:1")
	if err != nil {
		return nil, err
	}
	_, far, err := w.startCloud(ctx, "far", true, "127.0.0.1:1")
	if err != nil {
		return nil, err
	}
	tenant, _, err := w.newEnterprise(ctx)
	if err != nil {
		return nil, err
	}
	if _, _, err = w.start(ctx, "stubs", "stubs", stubSettings{w.file("keys"), identities(tenant, 1), []string{near.Tunnel}}, nil); err != nil {
		return nil, err
	}
	plain := w.caller(peer.Addr, tenant)
	paths := []path{{"plain", plain.plain}}
	for _, at := range []struct{ name, addr string }{{"same replica", near.Addr}, {"across replicas", far.Addr}} {
		c := w.caller(at.addr, tenant)
		if err := until(ctx, startTime, at.name+" knows the appliance", func() (bool, error) {
			_, err := c.begin(ctx)
			return err == nil, err
		}); err != nil {
			return nil, err
		}
		paths = append(paths, path{"a message, " + at.name, c.messages}, path{"credentials, " + at.name, c.credentials})
	}
	return paths, nil
}

// caller is a browser with one kept connection.
type caller struct {
	http   *http.Client
	base   string
	tenant sallyport.TenantID
	token  string
}

func (w *world) caller(addr string, tenant sallyport.TenantID) *caller {
	return &caller{base: "https://" + addr + "/v1/logins", tenant: tenant, token: accessToken(tenant, "gateway"), http: &http.Client{
		Timeout: 20 * time.Second,
		Transport: &http.Transport{
			MaxConnsPerHost: 1, MaxIdleConnsPerHost: 1, TLSClientConfig: &tls.Config{RootCAs: w.roots(), MinVersion: tls.VersionTLS12},
			DialContext: (&net.Dialer{}).DialContext,
		},
	}}
}

// accessToken is what stands in the script tag (docs/protocol/browser.md).
func accessToken(tenant sallyport.TenantID, integration sallyport.IntegrationID) string {
	text := fmt.Sprintf(`{"tenantId":%q,"contextData":{"authAppId":"f5-big-ip","authInstanceId":%q}}`, tenant, integration)
	return deviceproto.Encode([]byte(text))
}

// post sends body and reads the answer into v.
func (c *caller) post(ctx context.Context, path, bearer string, body, v any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", "https://gateway.example")
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", path, resp.Status, answer)
	}
	return json.Unmarshal(answer, v)
}

func (c *caller) begin(ctx context.Context) (sallyport.LoginID, error) {
	var a struct{ LoginID sallyport.LoginID }
	err := c.post(ctx, "", "", map[string]string{"accessToken": c.token}, &a)
	return a.LoginID, err
}

type seen struct {
	Version uint32
	Phase   string
	Sealed  string
}

// credentialsBody is sealed credentials that nobody opens.
func credentialsBody(token, user string) map[string]any {
	enc, box := make([]byte, sealed.EncSize), make([]byte, sealed.CiphertextSize)
	rand.Read(box)
	return map[string]any{"accessToken": token, "userName": user, "kid": "k", "iat": time.Now().Unix(),
		"enc": deviceproto.Encode(enc), "ciphertext": deviceproto.Encode(box)}
}

// credentials times the request that carries the sealed password, with a new login for each.
func (c *caller) credentials(ctx context.Context, n int) ([]time.Duration, error) {
	times := make([]time.Duration, n)
	for i := range times {
		id, err := c.begin(ctx)
		if err != nil {
			return nil, err
		}
		body := credentialsBody(c.token, "alice")
		var a struct{ View seen }
		begun := time.Now()
		if err := c.post(ctx, "/"+string(id)+"/credentials", "", body, &a); err != nil {
			return nil, err
		}
		times[i] = time.Since(begun)
	}
	return times, nil
}

// message is what the page sends; it is sealed, so its contents do not matter here.
func message(version uint32) map[string]any {
	return map[string]any{"version": version, "sealed": deviceproto.Encode(make([]byte, 64))}
}

// messages times what a person says on the page, such as a code.
func (c *caller) messages(ctx context.Context, n int) ([]time.Duration, error) {
	id, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	var a struct {
		Session string
		View    seen
	}
	if err := c.post(ctx, "/"+string(id)+"/credentials", "", credentialsBody(c.token, "alice"), &a); err != nil {
		return nil, err
	}
	times := make([]time.Duration, n)
	view := a.View
	for i := range times {
		before := view.Version
		begun := time.Now()
		if err := c.post(ctx, "/"+string(id)+"/messages", a.Session, message(before), &view); err != nil {
			return nil, err
		}
		times[i] = time.Since(begun)
		if view.Version != before+1 {
			return nil, fmt.Errorf("version %d after %d", view.Version, before)
		}
	}
	return times, nil
}

// plain times the same request at the trivial server.
func (c *caller) plain(ctx context.Context, n int) ([]time.Duration, error) {
	times := make([]time.Duration, n)
	for i := range times {
		var view seen
		begun := time.Now()
		if err := c.post(ctx, "/login/messages", "bearer", message(uint32(i)), &view); err != nil {
			return nil, err
		}
		times[i] = time.Since(begun)
	}
	return times, nil
}

// runHTTPS is the trivial server beside which the cloud stands: it reads a message and answers a view.
func runHTTPS(ctx context.Context, settings []byte, _ *slog.Logger, say func(ready) error) error {
	var files []string
	if err := json.Unmarshal(settings, &files); err != nil {
		return err
	}
	e := echo.New()
	answer := seen{Phase: "input", Sealed: deviceproto.Encode(make([]byte, promptSize))}
	e.POST("/v1/logins/:login/messages", func(c echo.Context) error {
		var m seen
		if err := json.NewDecoder(c.Request().Body).Decode(&m); err != nil {
			return err
		}
		v := answer
		v.Version = m.Version + 1
		return c.JSON(http.StatusOK, v)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: e, ReadHeaderTimeout: 5 * time.Second, Protocols: new(http.Protocols)}
	srv.Protocols.SetHTTP1(true)
	if err := say(ready{Addr: l.Addr().String()}); err != nil {
		return err
	}
	go func() { <-ctx.Done(); _ = srv.Close() }()
	if err := srv.ServeTLS(l, files[0], files[1]); ctx.Err() == nil {
		return err
	}
	return nil
}
