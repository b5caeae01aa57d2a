package console

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/sallyport/sallyport"
)

// TestFromNothingToAPhasedRollout goes the way of docs/admin/console.md in a browser, without a file or a command.
func TestFromNothingToAPhasedRollout(t *testing.T) {
	w := newClinic(t)
	p := w.browser(t)
	p.authenticator()
	code, err := w.admin.IssueSetupCode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The first administrator.
	p.open("/setup#" + string(code))
	p.until(`document.querySelector("[name=code]").value.length > 20`)
	p.write("display_name", "Olive Owner")
	p.write("name", "olive")
	p.write("password", goodPassword)
	p.write("again", goodPassword)
	p.click("button[type=submit]")
	p.at("/sign-in/enrol")
	p.click(`a[href^="/sign-in/enrol/passkey"]`)
	p.at("/sign-in/enrol/passkey")
	p.click("button[type=submit]")
	p.until(`document.querySelectorAll(".recovery li").length === 10`)
	p.click("a.primary")
	p.at("/")
	// The directory, and whose users.
	p.click(`nav a[href="/directories"]`)
	p.click(`a[href="/directories/new"]`)
	p.at("/directories/new")
	p.write("servers", w.server)
	p.write("bindName", "svc@hospital.test")
	p.write("bindPassword", servicePassword)
	p.until(`document.querySelector("[name=authority]")`)
	p.do("paste", pasteInto("authority", w.authority))
	p.click("button[value=save]")
	p.until(`location.pathname.endsWith("/scope")`)
	p.do("on demand", run(`document.querySelector("[name=every]").value = "0s"`))
	p.click("#save")
	p.until(`document.querySelector(".start-run")`)
	p.click(".start-run form:nth-of-type(2) button")
	p.until(`document.querySelector("#history tbody tr")`)
	// A policy for the pilot, live, and who is in it.
	p.click(`nav a[href="/user-policies"]`)
	p.click(`a[href="/user-policies/new"]`)
	p.at("/user-policies/new")
	p.write("name", "Pilot")
	for _, box := range []string{"licensed", "remote"} {
		p.do("tick "+box, run(`(box => box.checked || box.click())(document.querySelector("main [name=`+box+`]"))`))
	}
	p.do("choose", run(`document.querySelector("main [name=rule]").value = "standard"`))
	p.click("main button[type=submit]")
	p.until(`document.querySelector(".note")`)
	pilot := w.policyNamed("Pilot")
	if !pilot.Licensed || !pilot.RemoteAccess || pilot.EnrolRule != "standard" {
		t.Fatalf("the policy is %+v", pilot)
	}
	p.open("/user-policies/rules")
	p.click(`.twig[aria-label="Show what is in Groups"]`)
	p.click(`button[value="add|group|` + vpnDN + `"]`)
	p.until(`document.querySelector(".rules li [name=policy]")`)
	p.do("choose", run(`document.querySelector(".rules li [name=policy]").value = `+quoted(string(pilot.ID))))
	p.click("#save")
	p.until(`document.querySelector(".note")`)
	p.open("/directories/" + string(w.domains()[0].ID))
	p.click(".start-run form:nth-of-type(2) button")
	p.until(`document.querySelectorAll("#history tbody tr").length === 2`)
	// The gateway, its script, and what a user would be asked for.
	p.click(`nav a[href="/integrations"]`)
	p.click(`a[href="/integrations/new"]`)
	p.at("/integrations/new")
	p.write("nickname", "Hospital VPN")
	p.write("clients", "192.0.2.10")
	p.write("origins", "https://vpn.hospital.example")
	p.click("main button[type=submit]")
	p.until(`document.querySelector("#standard-title")`)
	if tag := p.eval(`document.querySelector("[aria-labelledby=standard-title] pre").textContent`); !strings.Contains(tag, "<script") || !strings.Contains(tag, "integrity=") || !strings.Contains(tag, "data-access-token=") {
		t.Errorf("the script is %q", tag)
	}
	alice, err := w.store.UserByAccount(t.Context(), sallyport.NewAccountName("HOSPITAL", "alice"))
	if err != nil || alice.Policy != pilot.ID {
		t.Fatalf("alice: %+v, %v", alice, err)
	}
	p.open("/try?user=" + string(alice.ID))
	p.until(`document.querySelector("main").innerText.includes("Pilot")`)
	// Whom to remind: of the pilot, and nobody else.
	p.click(`nav a[href="/reports"]`)
	p.click(`a[href="/reports/unenrolled"]`)
	p.at("/reports/unenrolled")
	if list := p.eval(`document.querySelector("main table").innerText`); !strings.Contains(list, "alice@hospital.test") || strings.Contains(list, "carol@hospital.test") {
		t.Errorf("unenrolled users of the pilot:\n%s", list)
	}
	p.click(`nav a[href="/audit"]`)
	p.until(`["domain", "user policy", "integration"].every(what => document.querySelector("main table").innerText.toLowerCase().includes(what))`)
	p.do("home", chromedp.Navigate(w.url+"/"))
	if left := p.eval(`document.querySelector("main").innerText`); strings.Contains(left, "No gateway is connected yet") {
		t.Errorf("the overview still asks for what was done:\n%s", left)
	}
}

func (w *clinic) policyNamed(name string) sallyport.UserPolicy {
	w.t.Helper()
	list, err := w.store.UserPolicies(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range list {
		if p.Name == name {
			return p.UserPolicy
		}
	}
	w.t.Fatalf("no policy %q in %+v", name, list)
	return sallyport.UserPolicy{}
}

func (w *clinic) domains() []sallyport.Domain {
	w.t.Helper()
	list, err := w.store.Domains(w.t.Context())
	if err != nil || len(list) == 0 {
		w.t.Fatalf("domains: %v, %v", list, err)
	}
	return list
}
