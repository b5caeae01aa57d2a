package e2e_test

import (
	"encoding/base32"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/test/stack"
)

// console is a tab with an appliance's console.
type console struct {
	*page
	base string
}

// openConsole opens the console by an address that is good for one thing, as the setup link is.
func openConsole(t *testing.T, s *stack.Stack, link string) *console {
	t.Helper()
	tab := s.Browser().PrivateTab(t, 1280, 900)
	// The certificate is the appliance's own, of which a browser warns.
	if _, err := chromedp.Call(tab, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true}); err != nil {
		t.Fatal(err)
	}
	base, _, _ := strings.Cut(link, "/setup")
	c := &console{&page{t, tab}, base}
	c.open(link)
	return c
}

func (c *console) at(path string) {
	c.t.Helper()
	c.until(`location.pathname === ` + quoted(path))
}

func (c *console) to(path string) { c.t.Helper(); c.open(c.base + path) }

// fill writes into a field of the form.
func (c *console) fill(name, value string) {
	c.t.Helper()
	field := `document.querySelector(` + quoted(`main [name="`+name+`"], [name="`+name+`"]`) + `)`
	c.until(field)
	c.do(`(e => { e.value = ` + quoted(value) + `; e.dispatchEvent(new Event('input', {bubbles: true})); })(` + field + `)`)
}

func (c *console) tick(name string) {
	c.t.Helper()
	box := `document.querySelector(` + quoted(`main [name="`+name+`"]`) + `)`
	c.until(box)
	c.do(`(e => e.checked || e.click())(` + box + `)`)
}

func (c *console) click(selector string) {
	c.t.Helper()
	c.until(`document.querySelector(` + quoted(selector) + `)`)
	c.do(`document.querySelector(` + quoted(selector) + `).click()`)
}

func quoted(s string) string {
	b, _ := json.Marshal(s) // a string always can be
	return string(b)
}

// TestFromNothingToALoginInChromium goes the whole way of docs/admin/console.md with real parts: an appliance that has trust and
// nothing else, its console in a browser, the domain in Samba, and a gateway with what the console says to paste.
func TestFromNothingToALoginInChromium(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	n := s.NewNewcomer(t)
	u := s.NewUser(t)
	c := openConsole(t, s, n.SetupLink(t))
	firstAdministrator(t, c)
	addDirectory(t, s, c)

	// Everybody has the default policy: it goes live, and who has not enrolled needs another way in.
	c.to("/user-policies/default")
	c.tick("licensed")
	c.tick("remote")
	c.fill("rule", "standard")
	c.click("main button[type=submit]")
	c.until(`document.querySelector('.note')`)

	// The gateway, and what there is to paste.
	c.to("/integrations/new")
	c.fill("nickname", "Newcomer VPN")
	c.fill("clients", "127.0.0.1")
	c.fill("origins", n.Origin)
	c.click("main button[type=submit]")
	c.until(`document.querySelector('#standard-title')`)
	shown := func(section string, which int) string {
		t.Helper()
		return strings.TrimSpace(c.text(`document.querySelectorAll('[aria-labelledby=` + section + `-title] pre')[` + string(rune('0'+which)) + `].textContent`))
	}
	n.StartGateway(t, sallyport.Secret(shown("secret", 0)), shown("standard", 0), shown("modern", 0), shown("modern", 1))

	d := n.Enrol(t, u.Name)
	for _, kind := range []string{"", "modern"} {
		gateway := openPage(t, s, n.Origin+"/"+kind, 1280, 800)
		gateway.signIn(u)
		if err := d.Approve(within(t, patience), gateway.number()); err != nil {
			t.Fatal(err)
		}
		gateway.untilIn(u.Name)
	}

	// The reports have it, and say how.
	stack.Until(t, patience, "both logins are reported", func() bool {
		c.to("/reports/logins?q=" + u.Name)
		list := c.text(`(document.querySelector('main table') || {innerText: ''}).innerText`)
		return strings.Count(list, "Let in") == 2 && strings.Count(list, u.Name) >= 2
	})
	c.to("/reports/radius?q=" + u.Name)
	c.until(`document.querySelectorAll('main tbody tr').length === 2 && document.querySelector('main table').innerText.includes('Accept')`)
	c.to("/reports/enrolled?q=" + u.Name)
	c.until(`document.querySelector('main table').innerText.toLowerCase().includes(` + quoted(u.Name) + `)`)
	stack.Until(t, patience, "the gateway is said to work", func() bool {
		c.to("/integrations")
		return strings.Contains(c.text(`(document.querySelector('#integrations') || {innerText: ''}).innerText`), "Works")
	})
}

// firstAdministrator makes the one whom the link is for, with a code generator.
func firstAdministrator(t *testing.T, c *console) {
	t.Helper()
	c.until(`document.querySelector('[name=code]') && document.querySelector('[name=code]').value.length > 20`)
	c.fill("display_name", "Olive Owner")
	c.fill("name", "olive")
	const password = "correct horse battery staple 9"
	c.fill("password", password)
	c.fill("again", password)
	c.click("button[type=submit]")
	c.at("/sign-in/enrol")
	c.click(`a[href^="/sign-in/enrol/code"]`)
	c.at("/sign-in/enrol/code")
	c.until(`document.querySelector('.secret')`)
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ReplaceAll(c.text(`document.querySelector('.secret').textContent`), " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	code, err := deviceproto.TokenCode(seed, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c.fill("code", string(code))
	c.click("button[type=submit]")
	c.until(`document.querySelectorAll('.recovery li').length === 10`)
	c.click("a.primary")
	c.at("/")
}

// addDirectory adds the domain, and reads its users.
func addDirectory(t *testing.T, s *stack.Stack, c *console) {
	t.Helper()
	server, bindName, bindPassword, authority := s.Directory(t)
	c.to("/directories/new")
	c.fill("servers", server)
	c.fill("bindName", bindName)
	c.fill("bindPassword", bindPassword)
	c.fill("authority", authority)
	c.click("button[value=save]")
	c.until(`location.pathname.endsWith('/scope')`)
	c.fill("every", "0s")
	c.click("#save")
	c.click(".start-run form:nth-of-type(2) button")
	c.until(`document.querySelector('#history tbody tr') && document.querySelector('#history tbody tr').innerText.includes('Done')`)
}
