package console

import (
	"bufio"
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// logger writes to the world's log files alone.
func (w *world) logger() *slog.Logger {
	return slog.New(w.files.Handler(slog.NewTextHandler(w.logs, nil)))
}

func TestTheLogIsShownFoundAndExported(t *testing.T) {
	w := newWorld(t, worldOptions{})
	log := w.logger()
	log.Info("login begins", "support_code", "7H2K-9QXM", "user", hostile)
	log.Error("directory gone", "err", "dial dc1: refused")
	w.someone("otto", sallyport.RoleAuditor, true)
	c := w.in("otto")
	a := c.get("/logs")
	if a.StatusCode != http.StatusOK || !strings.Contains(a.body, "login begins") || !strings.Contains(a.body, "dial dc1: refused") || strings.Contains(a.body, "<img src=x") {
		t.Errorf("%d %.300s", a.StatusCode, a.body)
	}
	for path, want := range map[string][2]bool{
		"/logs?level=error": {false, true}, "/logs?code=7h2k9qxm": {true, false}, "/logs?q=DC1": {false, true}, "/logs?file=appliance.log": {true, true}, "/logs?q=nothing-has-this": {false, false},
	} {
		body := c.get(path).body
		if got := [2]bool{strings.Contains(body, "login begins"), strings.Contains(body, "directory gone")}; got != want {
			t.Errorf("%s shows %v, want %v", path, got, want)
		}
	}
	if a := c.get("/logs/export?file=appliance.log"); a.StatusCode != http.StatusOK || !strings.Contains(unzipped(t, a.body), "directory gone") {
		t.Errorf("export: %d", a.StatusCode)
	}
	if a := c.get("/logs/export"); a.Header.Get("Content-Disposition") != `attachment; filename="sallyport-logs-2026-03-04.tar.gz"` || !strings.Contains(unzipped(t, a.body), "login begins") {
		t.Errorf("export of all: %d %v", a.StatusCode, a.Header)
	}
	if a := c.get("/logs/files"); !strings.Contains(a.body, "appliance.log") {
		t.Errorf("files: %d", a.StatusCode)
	}
	records, err := w.store.AuditRecords(t.Context(), store.AuditQuery{Action: "log.export"})
	if err != nil || len(records.Records) != 2 || records.Records[1].Object != "appliance.log" || records.Records[1].Actor.Name != "otto" {
		t.Errorf("audit: %+v %v", records.Records, err)
	}
}

func TestNoAddressLeavesTheDirectoryOfTheLog(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.logger().Info("here")
	w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	for _, name := range []string{"../a.db", "..%2Fa.db", "/etc/passwd", "....//a.db", "appliance.log/../../a.db", "appliance.log\x00", "a.db", ".", "%2e%2e%2fa.db", `..\a.db`} {
		for _, path := range []string{"/logs?file=", "/logs/export?file=", "/logs?after=0."} {
			a := c.get(path + url.QueryEscape(name))
			if a.StatusCode != http.StatusNotFound && a.StatusCode != http.StatusBadRequest || strings.Contains(a.body, "SQLite format") || strings.Contains(a.body, "root:") {
				t.Errorf("%s%q: %d", path, name, a.StatusCode)
			}
		}
	}
	if a := c.get("/logs/../../../etc/passwd"); a.StatusCode == http.StatusOK {
		t.Errorf("%d", a.StatusCode)
	}
}

func TestTheLogIsNotForEverybody(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.logger().Info("here")
	w.someone("hanna", sallyport.RoleHelpDesk, true)
	c := w.in("hanna")
	for _, path := range []string{"/logs", "/logs/files", "/logs/export", "/logs/follow"} {
		if a := c.get(path); a.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	if strings.Contains(c.get("/").body, `href="/logs"`) {
		t.Error("the navigation offers the log")
	}
}

func TestNewLinesComeAsEvents(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", w.url+"/logs/follow?level=warn", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if got := res.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("%d %s", res.StatusCode, got)
	}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() && lines.Text() != "" {
	}
	w.logger().Info("too quiet")
	w.logger().Warn(hostile)
	var event strings.Builder
	for lines.Scan() && lines.Text() != "" {
		event.WriteString(lines.Text() + "\n")
	}
	if got := event.String(); !strings.HasPrefix(got, "event: line\ndata: <tr>") || !strings.Contains(got, "&lt;img src=x") || strings.Contains(got, "too quiet") {
		t.Errorf("%s", got)
	}
}

func TestFollowingALogKeepsNobodySignedIn(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	for range 2 {
		w.clock.forward(8 * time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, "GET", w.url+"/logs/follow", nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := c.http.Do(req); err == nil {
			_ = res.Body.Close()
		}
		cancel()
	}
	w.clock.forward(8 * time.Minute)
	if a := c.get("/logs"); a.StatusCode != http.StatusSeeOther {
		t.Errorf("a session without anybody at it still stands: %d", a.StatusCode)
	}
}

func TestPagesOfTheLog(t *testing.T) {
	w := newWorld(t, worldOptions{})
	log := w.logger()
	for _, m := range []string{"appliance runs", "tunnel stands", "credentials arrived", "password is right"} {
		log.Info(m, "login", sallyport.NewID(), "support_code", "7H2K-9QXM", "user", hostile)
	}
	log.Error("directory gone", "err", "dial tcp 10.1.2.3:636: connect: connection refused")
	log.Warn("synchronisation waits for a person", "would_remove", 40)
	w.someone("olive", sallyport.RoleSuper, true)
	p := w.browser(t)
	p.signIn("olive")
	p.open("/logs")
	p.inspect("logs")
	p.click("[data-follow] button")
	p.until(`document.querySelector("[data-follow] [role=status]").textContent.includes("New lines")`)
	log.Warn("a new line", "n", 1)
	p.until(`document.querySelector("#log tbody tr").innerText.includes("a new line")`)
	log.Warn("another", "n", 2)
	p.until(`document.querySelector("#log tbody tr").innerText.includes("another")`)
	if n := p.eval(`[...document.querySelectorAll("#log tbody tr")].filter(r => r.innerText.includes("a new line")).length`); n != "1" {
		t.Errorf("the line is there %s times", n)
	}
	p.inspect("logs-followed")
	p.do("stop", chromedp.Evaluate[chromedp.Void](`void document.querySelector("[data-follow] button").click()`))
	p.open("/logs?q=nothing-has-this")
	p.inspect("logs-none")
	p.open("/logs/files")
	p.inspect("log-files")
	if title := p.eval("document.title"); title == "owned" {
		t.Error("a line was executed")
	}
}

func unzipped(t *testing.T, text string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
