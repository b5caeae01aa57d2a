package e2e_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/sallyport/sallyport/test/harness"
	"github.com/sallyport/sallyport/test/stack"
)

// formWithin is how soon the gateway's own form comes back when the cloud is out of reach.
const formWithin = 3 * time.Second

// nativeField finds a field of the gateway's own form that can be seen and used.
const nativeField = `(name => [...document.querySelectorAll('form input[name="' + name + '"]')].find(i =>
	i.checkVisibility({visibilityProperty: true, opacityProperty: true}) && i.getBoundingClientRect().width > 0))`

// noteNative notes when the form's third field can be seen first, in milliseconds since the page had arrived.
const noteNative = `(function frame() {
	if (` + nativeField + `('password1')) {
		window.nativeAt = performance.now() - performance.getEntriesByType('navigation')[0].responseEnd;
		return;
	}
	requestAnimationFrame(frame);
})();`

const dropped = "packets are dropped"

// outOfReach are ways in which a cloud is not there. Each gives the address to put into the script.
func outOfReach(s *stack.Stack) map[string]func(t *testing.T) string {
	port := func(addr string) string {
		_, p, _ := net.SplitHostPort(addr)
		return "http://localhost:" + p
	}
	return map[string]func(t *testing.T) string{
		"nothing listens": func(t *testing.T) string {
			return "http://localhost:" + strconv.Itoa(harness.FreePort(t))
		},
		dropped: func(t *testing.T) string {
			p := harness.StartProxy(t, s.Cloud.Addr())
			p.BlackHole(true)
			return port(p.Addr())
		},
		"the script comes, nothing else answers": func(t *testing.T) string {
			to, err := url.Parse(s.CloudURL())
			if err != nil {
				t.Fatal(err)
			}
			through := httputil.NewSingleHostReverseProxy(to)
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/embed/") {
					through.ServeHTTP(w, r)
					return
				}
				<-r.Context().Done()
			}))
			t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
			return port(srv.Listener.Addr().String())
		},
	}
}

// It runs alone: it measures.
func TestCloudOutOfReachTheNativeFormLetsInWithATokenCode(t *testing.T) {
	s := shared.Get(t)
	for how, cloud := range outOfReach(s) {
		t.Run(how, func(t *testing.T) {
			for _, kind := range []string{"", "modern"} {
				if kind == "modern" && how == dropped {
					continue // the gateway's own page waits for its external script, before anything of ours
				}
				u, d := enrolled(t, s)
				tag, modern, err := s.ScriptFrom(cloud(t))
				if err != nil {
					t.Fatal(err)
				}
				_, own := openNative(t, s, "", "", kind) // what the page takes by itself
				p, took := openNative(t, s, tag, modern, kind)
				if took > formWithin+own {
					t.Errorf("the form came after %v, want at most %v and the page's own %v", took, formWithin, own)
				}
				code, err := d.CodeAt(time.Now())
				if err != nil {
					t.Fatal(err)
				}
				for name, value := range map[string]string{"username": u.Name, "password": string(u.Password)} {
					p.typeNative(name, value)
				}
				p.typeNative("password1", string(code)+"\r")
				p.untilIn(u.Name)
			}
		})
	}
}

// openNative opens a page of a gateway with a script and waits for its own form; took is how long after
// the page's arrival it could be used.
func openNative(t *testing.T, s *stack.Stack, tag, modern, kind string) (p *page, took time.Duration) {
	t.Helper()
	g, err := s.StartGateway(t, "", tag, modern)
	if err != nil {
		t.Fatal(err)
	}
	p = &page{t, s.Browser().PrivateTab(t, 1280, 800)}
	p.openNoting(g.URL() + kind)
	p.until(`window.nativeAt`)
	at, err := strconv.ParseFloat(p.text(`window.nativeAt`), 64)
	if err != nil {
		t.Fatal(err)
	}
	return p, time.Duration(at) * time.Millisecond
}

// openNoting opens a page that may never finish loading, and notes when its form is seen.
func (p *page) openNoting(url string) {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: noteNative}); err != nil {
		p.t.Fatal(err)
	}
	if _, err := chromedp.Call(p.ctx, cdppage.Navigate, cdppage.NavigateParams{URL: url}); err != nil {
		p.t.Fatalf("open %s: %v", url, err)
	}
}

func (p *page) typeNative(name, text string) {
	p.t.Helper()
	p.until(nativeField + `('` + name + `')`)
	p.do(nativeField + `('` + name + `').focus()`)
	p.keys(text)
}

// changing is the cloud behind somebody who adds a line to the script on its way.
func changing(t *testing.T, s *stack.Stack) string {
	t.Helper()
	to, err := url.Parse(s.CloudURL())
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Header.Del("Accept-Encoding") // to be read
		},
		ModifyResponse: func(resp *http.Response) error {
			if !strings.HasPrefix(resp.Request.URL.Path, "/embed/") {
				return nil
			}
			script, err := io.ReadAll(resp.Body)
			if err != nil {
				return err
			}
			script = append([]byte("window.changed = true;\n"), script...)
			resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(script)), int64(len(script))
			resp.Header.Set("Content-Length", strconv.Itoa(len(script)))
			return nil
		},
	})
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	return strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
}

var integrityInTag = regexp.MustCompile(`integrity="[^"]+" `)

func TestAScriptThatWasChangedOnItsWayDoesNotRun(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	tag, modern, err := s.ScriptFrom(changing(t, s))
	if err != nil {
		t.Fatal(err)
	}
	for name, kind := range map[string]string{"standard": "", "modern": "modern"} {
		t.Run(name, func(t *testing.T) {
			p, _ := openNative(t, s, tag, modern, kind)
			if got := p.text(`window.changed || document.getElementById('sallyport')`); got != "null" {
				t.Errorf("the changed script has run: %s", got)
			}
		})
	}
	t.Run("it would run in a page that does not pin it", func(t *testing.T) {
		g, err := s.StartGateway(t, "", integrityInTag.ReplaceAllString(tag, ""), modern)
		if err != nil {
			t.Fatal(err)
		}
		openPage(t, s, g.URL(), 1280, 800).until(`window.changed`)
	})
}
