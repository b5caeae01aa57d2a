package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Browser is a running headless Chromium with an empty profile. Let it open localhost,
// never 127.0.0.1: only localhost counts as a secure context without TLS.
type Browser struct {
	tb  testing.TB
	ctx context.Context
}

// browserDeadline bounds everything one tab does.
const browserDeadline = 3 * time.Minute

// StartChromium starts a browser. Further options of chromedp come after the
// harness's own, for example chromedp.Flag("disable-background-networking", true).
func StartChromium(tb testing.TB, opts ...chromedp.ExecAllocatorOption) *Browser {
	tb.Helper()
	ctx, end, err := startChromium(opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(end)
	return &Browser{tb: tb, ctx: ctx}
}

// startChromium returns the context of a browser that lives until end is called.
func startChromium(opts []chromedp.ExecAllocatorOption) (ctx context.Context, end func(), err error) {
	path, err := tool("chromium")
	if err != nil {
		return nil, nil, err
	}
	all := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox, // root has no user namespaces to lock itself into
		chromedp.WindowSize(1280, 900),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.WSURLReadTimeout(startDeadline))
	all = append(all, opts...)
	alloc, cancelAlloc := chromedp.NewExecAllocator(context.Background(), all...)
	ctx, cancel := chromedp.NewContext(alloc, chromedp.WithErrorf(func(string, ...any) {}))
	end = func() {
		// Ends the browser and waits for it, so that its profile can be removed.
		soon, stop := context.WithTimeout(ctx, stopDeadline)
		defer stop()
		_ = chromedp.Cancel(soon)
		cancel()
		cancelAlloc()
	}
	if err := chromedp.Do(ctx); err != nil {
		end()
		return nil, nil, fmt.Errorf("start chromium: %w", err)
	}
	return ctx, end, nil
}

// SharedBrowser is one browser for the tests of a package, each with private tabs. The first test that asks starts it;
// Close, called from TestMain, ends it.
type SharedBrowser struct {
	once sync.Once
	ctx  context.Context
	end  func()
	err  error
}

// PrivateTab is like Browser.PrivateTab. The options are those of StartChromium, and count for whoever asks first.
func (s *SharedBrowser) PrivateTab(tb testing.TB, width, height int, opts ...chromedp.ExecAllocatorOption) context.Context {
	tb.Helper()
	s.once.Do(func() { s.ctx, s.end, s.err = startChromium(opts) })
	if s.err != nil {
		tb.Fatal(s.err)
	}
	return (&Browser{tb: tb, ctx: s.ctx}).PrivateTab(tb, width, height)
}

// Close ends the browser if it was started.
func (s *SharedBrowser) Close() {
	if s.end != nil {
		s.end()
	}
}

// Tab opens a tab of the given size in CSS pixels (0, 0: the window's) and returns the
// context for chromedp.Run. The tab closes with the test; when the test failed, what
// the tab showed last is kept as an artifact first.
func (b *Browser) Tab(width, height int) context.Context {
	b.tb.Helper()
	return b.tab(b.tb, width, height)
}

// PrivateTab is like Tab for one test of many that share a browser: it has cookies and
// storage of its own, believes to have the focus, and closes with tb.
func (b *Browser) PrivateTab(tb testing.TB, width, height int) context.Context {
	tb.Helper()
	ctx := b.tab(tb, width, height, chromedp.WithNewBrowserContext())
	_, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	if err != nil {
		tb.Fatalf("give tab the focus: %v", err)
	}
	return ctx
}

func (b *Browser) tab(tb testing.TB, width, height int, opts ...chromedp.ContextOption) context.Context {
	tb.Helper()
	target, cancel := chromedp.NewContext(b.ctx, opts...)
	// The first call makes the tab, which then lives as long as that call's context.
	if err := chromedp.Do(target); err != nil {
		cancel()
		tb.Fatalf("open tab: %v", err)
	}
	ctx, stop := context.WithTimeout(target, browserDeadline)
	tb.Cleanup(func() {
		if tb.Failed() {
			b.keep(tb, ctx, "failed")
		}
		stop()
		cancel()
	})
	if width > 0 && height > 0 {
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(int64(width), int64(height))); err != nil {
			tb.Fatalf("size tab: %v", err)
		}
	}
	return ctx
}

// Screenshot keeps what the tab shows as an artifact and returns the file's path.
func (b *Browser) Screenshot(tab context.Context, name string) string {
	b.tb.Helper()
	path := b.keep(b.tb, tab, name)
	if path == "" {
		b.tb.Errorf("take screenshot %q: nothing was taken", name)
	}
	return path
}

func (b *Browser) keep(tb testing.TB, tab context.Context, name string) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tab, stopDeadline)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		tb.Logf("take screenshot: %v", err)
		return ""
	}
	path := filepath.Join(ArtifactDir(tb), fileName(tb.Name()+"-"+name)+".png")
	if err := os.WriteFile(path, png, 0o644); err != nil {
		tb.Logf("keep screenshot: %v", err)
		return ""
	}
	tb.Logf("screenshot: %s", path)
	return path
}

// ArtifactDir returns the folder for what a person may want to see after a test:
// $SALLYPORT_TEST_ARTIFACTS, or a folder of this user's below the system's temporary one.
func ArtifactDir(tb testing.TB) string {
	tb.Helper()
	d := os.Getenv("SALLYPORT_TEST_ARTIFACTS")
	if d == "" {
		d = filepath.Join(os.TempDir(), fmt.Sprintf("sallyport-artifacts-%d", os.Getuid()))
	}
	if err := os.MkdirAll(d, 0o755); err != nil {
		tb.Fatalf("make artifact directory: %v", err)
	}
	return d
}

// fileName makes any text safe as the name of a file.
func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '-'
	}, s)
}
