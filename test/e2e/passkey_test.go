package e2e_test

import (
	"slices"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/test/stack"
)

// allowPasskeys has the workflow policy take passkeys beside what it takes.
func allowPasskeys(t *testing.T, s *stack.Stack) {
	t.Helper()
	w, err := s.Store.LoginWorkflow(within(t, patience))
	if err == nil && !slices.Contains(w.Allowed, sallyport.PasswordAndPasskey) {
		w.Allowed = append(w.Allowed, sallyport.PasswordAndPasskey)
		_, err = s.Store.SetLoginWorkflow(within(t, patience), w)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// authenticator gives the tab an authenticator that always says yes.
func (p *page) authenticator() {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		p.t.Fatal(err)
	}
	if _, err := chromedp.Call(p.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportUsb, HasResidentKey: true, HasUserVerification: true,
		IsUserVerified: true, AutomaticPresenceSimulation: true}}); err != nil {
		p.t.Fatal(err)
	}
}

// A user who has nothing yet makes a passkey on the way in, and uses it the next time.
func TestAPasskeyIsMadeAndUsedInChromium(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	allowPasskeys(t, s)
	bothPages(t, func(t *testing.T, kind string) {
		u := s.NewUser(t)
		give(t, s, u, live, sallyport.EnrolRule{Unenrolled: sallyport.UnenrolledPassword, PromptAtGateway: true})
		gateway := logonPage(t, s, kind)
		gateway.authenticator()
		gateway.signIn(u)
		gateway.untilScreen("enrol")
		gateway.press("kind-passkey")
		gateway.press("make")
		gateway.until(`shadow.textContent.includes('Security key')`)
		gateway.press("continue")
		gateway.untilIn(u.Name)

		if _, err := chromedp.Call(gateway.ctx, network.ClearBrowserCookies, cdp.Empty{}); err != nil {
			t.Fatal(err)
		}
		gateway.open(s.Origin() + "/" + kind)
		gateway.signIn(u)
		gateway.untilScreen("passkey")
		gateway.press("passkey")
		gateway.untilIn(u.Name)
		list, err := s.Store.UserPasskeys(within(t, patience), u.Account())
		if err != nil || len(list) != 1 || list[0].Used.IsZero() || list[0].Host != "localhost" {
			t.Errorf("kept: %+v, %v", list, err)
		}
	})
}
