package overlay

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/internal/browserkey"
)

// claimed is what the browser says that was remembered; nil when it says nothing, or what is none.
func claimed(c *tunnelpb.RememberedClaim) *login.RememberedClaim {
	id, ok := browserkey.NewID(c.GetId())
	if !ok || c.GetUses() == 0 {
		return nil
	}
	return &login.RememberedClaim{ID: id, Uses: c.GetUses(), Signature: c.GetSignature(), Token: c.GetToken(), Finding: finding(c.GetFinding())}
}

func finding(f tunnelpb.RememberedFinding) login.RememberedFinding {
	switch f {
	case tunnelpb.RememberedFinding_REMEMBERED_GOOD:
		return login.RememberedGood
	case tunnelpb.RememberedFinding_REMEMBERED_GONE:
		return login.RememberedGone
	case tunnelpb.RememberedFinding_REMEMBERED_COPIED:
		return login.RememberedCopied
	case tunnelpb.RememberedFinding_REMEMBERED_NO_COOKIE:
		return login.RememberedNoCookie
	case tunnelpb.RememberedFinding_REMEMBERED_UNSIGNED:
		return login.RememberedUnsigned
	}
	return login.RememberedUnknown
}

// remember takes what the person said of remembering this browser.
func (d *Door) remember(ctx context.Context, s login.State, m message) (login.State, error) {
	key, err := base64.RawURLEncoding.Strict().DecodeString(m.Key)
	if err != nil {
		return s, sallyport.Errorf(sallyport.CodeInvalid, errRefused, nil)
	}
	return d.Engine.Remember(ctx, s, m.On, key)
}

// record is what the cloud is to keep of a browser that is remembered from now on.
func record(r *login.Remembering) *tunnelpb.RememberedRecord {
	if r == nil || r.ID == "" {
		return nil
	}
	id, ok := browserkey.Octets(r.ID)
	if !ok {
		return nil
	}
	out := &tunnelpb.RememberedRecord{Id: id, Token: r.Token, Key: r.Key}
	if replaces, ok := browserkey.Octets(r.Replaces); ok {
		out.Replaces = replaces
	}
	return out
}

// maxUserAgent bounds what is looked at of a browser's own name for itself, in octets.
const maxUserAgent = 256

// The marks that browsers and systems leave in their User-Agent. The first that is there counts: most
// browsers name those as well that they are built on, or want to be taken for.
var (
	browserMarks = [...][2]string{
		{"Edg", "Edge"}, {"OPR/", "Opera"}, {"Opera", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Vivaldi/", "Vivaldi"},
		{"FxiOS/", "Firefox"}, {"Firefox/", "Firefox"}, {"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
	}
	systemMarks = [...][2]string{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"CrOS", "ChromeOS"},
		{"Mac OS X", "macOS"}, {"Macintosh", "macOS"}, {"Linux", "Linux"},
	}
)

// browserName says in words what a User-Agent means: "Firefox on Windows". It takes nothing over of what
// the browser says, so nothing that it says can do harm.
func browserName(userAgent string) string {
	if len(userAgent) > maxUserAgent {
		userAgent = userAgent[:maxUserAgent]
	}
	find := func(marks [][2]string) string {
		for _, m := range marks {
			if strings.Contains(userAgent, m[0]) {
				return m[1]
			}
		}
		return ""
	}
	browser, system := find(browserMarks[:]), find(systemMarks[:])
	switch {
	case browser == "" && system == "":
		return ""
	case browser == "":
		return "A browser on " + system
	case system == "":
		return browser
	}
	return browser + " on " + system
}
