package web_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

const (
	pictured = "../docs/images/overlay"
	shown    = "../docs/admin/overlay-states.md"
)

// pictureName is the file of a screen: "sms failed", "standard", "phone" gives sms-failed-standard-phone.png.
func pictureName(name, kind, size string) string {
	return strings.NewReplacer(" ", "-", "_", "-").Replace(name) + "-" + kind + "-" + size + ".png"
}

// picture keeps a screen as it looks on a desk and on a phone, as high as it is.
func (p *tab) picture(dir, name, kind string) {
	p.t.Helper()
	// The stand-in's address is nobody's.
	p.eval(`(e => { if (e) e.textContent = 'vpn.hospital.example'; return true; })(shadow.querySelector('.where span'))`)
	for _, size := range []struct {
		name string
		w, h int64
	}{{"wide", 860, 600}, {"phone", 360, 560}} {
		p.width(size.w, size.h)
		tall, _ := p.eval(`(shadow.querySelector('.page') || document.documentElement).scrollHeight`).(float64)
		p.width(size.w, max(size.h, int64(tall)))
		p.eval(`scrollTo(0, 0)`)
		png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
		must(p.t, err)
		must(p.t, os.WriteFile(filepath.Join(dir, pictureName(name, kind, size.name)), png, 0o644))
	}
	p.width(1280, 800)
}

// Every screen is in the pages for the help desk, on both kinds of page and in both sizes. Where SALLYPORT_TEST_OVERLAY names a folder, the pictures
// are made there (test/overlay-pictures.sh): on the standard page in light colours, on the modern one in dark ones.
func TestEveryScreenIsPicturedForTheHelpDesk(t *testing.T) {
	if dir := os.Getenv("SALLYPORT_TEST_OVERLAY"); dir != "" {
		for kind, v := range map[string]visits{"standard": {"/", "en", true}, "modern": {"/modern", "en", true}} {
			screens(t, v, func(p *tab, name string) {
				p.dark(kind == "modern")
				p.picture(dir, name, kind)
			})
		}
	}
	text, err := os.ReadFile(shown)
	must(t, err)
	names := []string{"push out of reach"}
	for name := range said {
		names = append(names, name)
	}
	for _, name := range names {
		for _, kind := range []string{"standard", "modern"} {
			if kind == "modern" && (name == "expired" || name == "restart") {
				continue // the standard page's own
			}
			for _, size := range []string{"wide", "phone"} {
				file := pictureName(name, kind, size)
				if _, err := os.Stat(filepath.Join(pictured, file)); err != nil || !strings.Contains(string(text), "images/overlay/"+file+`"`) {
					t.Errorf("%s: not there, or not shown", file)
				}
			}
		}
	}
	files, err := filepath.Glob(pictured + "/*.png")
	must(t, err)
	var all int64
	for _, f := range files {
		info, err := os.Stat(f)
		must(t, err)
		all += info.Size()
		if !strings.Contains(string(text), filepath.Base(f)+`"`) {
			t.Errorf("%s is not shown", f)
		}
	}
	if all > 1_500_000 {
		t.Errorf("the pictures have %d octets, allowed are 1,500,000", all)
	}
}
