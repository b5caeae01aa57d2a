package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/go-ldap/ldap/v3"
	"github.com/jackc/pgx/v5"
)

func TestRedisKeepsWhatItAnsweredOverAKill(t *testing.T) {
	t.Parallel()
	r := StartRedis(t, RedisAppendOnly())
	ctx := t.Context()
	seen := r.Monitor()
	if err := r.Client().Set(ctx, "{a}:k", "needle-1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := r.Client().HSet(ctx, "{a}:h", "f", "needle-2").Err(); err != nil {
		t.Fatal(err)
	}
	if err := r.Client().Set(ctx, "{a}:gone", "needle-3", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := r.Client().Del(ctx, "{a}:gone").Err(); err != nil {
		t.Fatal(err)
	}
	r.Kill()
	r.Start()
	dump := r.Dump()
	for _, want := range []string{"needle-1", "needle-2", "needle-3"} {
		if !bytes.Contains(dump, []byte(want)) {
			t.Errorf("dump lacks %s", want)
		}
		if !bytes.Contains(seen(), []byte(want)) {
			t.Errorf("monitor lacks %s", want)
		}
	}
}

func TestPostgresGivesEachCallerADatabaseAndSurvivesAKill(t *testing.T) {
	t.Parallel()
	p := StartPostgres(t)
	a, b := p.Database(), p.SocketDatabase()
	if a == b {
		t.Fatal("the same database twice")
	}
	execSQL(t, a, "CREATE TABLE t (n int)")
	execSQL(t, a, "INSERT INTO t VALUES (42)")
	execSQL(t, b, "CREATE TABLE t (n int)")
	p.Kill()
	p.Start()
	execSQL(t, a, "DO $$ BEGIN IF (SELECT n FROM t) <> 42 THEN RAISE 'lost'; END IF; END $$")
}

func execSQL(t *testing.T, dsn, sql string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.WithoutCancel(t.Context())) }()
	if _, err := c.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func TestSambaHasEveryAccountState(t *testing.T) {
	t.Parallel()
	s := StartSamba(t)
	for user, data := range map[string]string{
		Alice: "", Bob: "", Carol: "", Disabled: "533", MustChange: "773", ExpiredPw: "532",
		AcctExpired: "701", Locked: "775", Hours: "530", Workstation: "531",
	} {
		err := bind(t, s, SambaDomain+`\`+user, UserPassword)
		switch {
		case data == "" && err != nil:
			t.Errorf("%s: %v", user, err)
		case data != "" && (err == nil || !strings.Contains(err.Error(), "data "+data+",")):
			t.Errorf("%s: got %v, want data %s", user, err, data)
		}
	}
	if err := bind(t, s, ServiceDN, ServicePass); err != nil {
		t.Errorf("service account: %v", err)
	}
}

func TestSambaCountsWrongPasswordsAndRemembersOverAKill(t *testing.T) {
	t.Parallel()
	s := StartSamba(t, LockoutThreshold(2))
	if n := s.BadPwdCount(Alice); n != 0 {
		t.Fatalf("fresh account has count %d", n)
	}
	_ = bind(t, s, SambaDomain+`\alice`, "wrong")
	s.Kill()
	s.Start()
	if n := s.BadPwdCount(Alice); n != 1 {
		t.Errorf("count %d, want 1", n)
	}
	_ = bind(t, s, SambaDomain+`\alice`, "wrong")
	if err := bind(t, s, SambaDomain+`\alice`, UserPassword); err == nil || !strings.Contains(err.Error(), "data 775,") {
		t.Errorf("after two wrong passwords: %v, want data 775", err)
	}
	s.AddUser("dave", `pä"ss wörd€`)
	if err := bind(t, s, "DAVE@Hospital.Test", `pä"ss wörd€`); err != nil {
		t.Errorf("added user: %v", err)
	}
}

func bind(t *testing.T, s *Samba, name, password string) error {
	t.Helper()
	c, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, err = c.SimpleBind(&ldap.SimpleBindRequest{Username: name, Password: password})
	return err
}

func TestProxyMisbehavesOnDemand(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "hello") }))
	t.Cleanup(srv.Close)
	p := StartProxy(t, srv.Listener.Addr().String())
	get := func(timeout time.Duration) error {
		c := http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := c.Get("http://" + p.Addr())
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		if err == nil && string(b) != "hello" {
			err = fmt.Errorf("body %q", b)
		}
		return err
	}
	if err := get(time.Minute); err != nil {
		t.Fatalf("plain: %v", err)
	}
	p.Delay(100 * time.Millisecond)
	start := time.Now()
	if err := get(time.Minute); err != nil || time.Since(start) < 200*time.Millisecond {
		t.Errorf("delayed both ways: %v after %v", err, time.Since(start))
	}
	p.Delay(0)
	p.Refuse(true)
	if err := get(time.Minute); err == nil {
		t.Error("refused connection answered")
	}
	p.Refuse(false)
	p.BlackHole(true)
	if err := get(200 * time.Millisecond); err == nil {
		t.Error("black hole answered")
	}
	p.BlackHole(false)
	if err := get(time.Minute); err != nil {
		t.Errorf("after the black hole: %v", err)
	}
	if n := p.Connections(); n != 5 {
		t.Errorf("%d connections, want 5", n)
	}
}

func TestProxyCutEndsRunningConnections(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	p := StartProxy(t, ln.Addr().String())
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	up, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = up.Close() }()
	p.Cut()
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("read after a cut: %v", err)
	}
}

func TestChromiumShowsAPageOfTheSizeAskedFor(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `<!doctype html><meta name=viewport content="width=device-width"><p id=p>hello</p>`)
	}))
	t.Cleanup(srv.Close)
	b := StartChromium(t)
	tab := b.Tab(320, 640)
	if err := chromedp.Do(tab, chromedp.Navigate(strings.Replace(srv.URL, "127.0.0.1", "localhost", 1))); err != nil {
		t.Fatal(err)
	}
	text, err := chromedp.Run(tab, chromedp.Text("#p"))
	if err != nil {
		t.Fatal(err)
	}
	width, err := chromedp.Run(tab, chromedp.Evaluate[int]("innerWidth"))
	if err != nil {
		t.Fatal(err)
	}
	secure, err := chromedp.Run(tab, chromedp.Evaluate[bool]("isSecureContext && !!crypto.subtle"))
	if err != nil {
		t.Fatal(err)
	}
	if text != "hello" || width != 320 || !secure {
		t.Errorf("text %q, width %d, secure %v", text, width, secure)
	}
	t.Setenv("SALLYPORT_TEST_ARTIFACTS", t.TempDir())
	if b.Screenshot(tab, "page") == "" {
		t.Error("no screenshot")
	}
}

// childVariable makes a test process start parts, tell where they are, and wait.
const childVariable = "SALLYPORT_HARNESS_CHILD"

func TestPartsEndWithTheTestProcess(t *testing.T) {
	if os.Getenv(childVariable) != "" {
		r, s := StartRedis(t), StartSamba(t)
		fmt.Printf("parts %s %s %s %s\n", r.Addr(), s.Addr(), r.dir, filepath.Dir(s.dir))
		_, _ = io.ReadAll(os.Stdin)
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestPartsEndWithTheTestProcess$")
	child.Env = append(os.Environ(), childVariable+"=1")
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var redisAddr, sambaAddr, redisDir, sambaDir string
	if _, err := fmt.Fscanf(out, "parts %s %s %s %s\n", &redisAddr, &sambaAddr, &redisDir, &sambaDir); err != nil {
		t.Errorf("read what the child started: %v", err)
	}
	defer func() {
		for _, d := range []string{redisDir, sambaDir} { // a killed child cannot
			if strings.HasPrefix(d, "/tmp/sp-") {
				_ = os.RemoveAll(d)
			}
		}
	}()
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // killed
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, addr := range []string{redisAddr, sambaAddr} {
		err := poll(ctx, func(context.Context) error {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				return nil
			}
			_ = c.Close()
			return errors.New("still answers")
		})
		if err != nil {
			t.Errorf("%s after the test process was killed: %v", addr, err)
		}
	}
}
