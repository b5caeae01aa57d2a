package console

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/sallyport/sallyport"
)

func TestPagesOfDirectoryForms(t *testing.T) {
	w := newClinic(t)
	w.someone("olive", sallyport.RoleSuper, true)
	p := w.browser(t)
	p.signIn("olive")
	p.open("/directories")
	p.inspect("directories-none")
	p.open("/directories/new")
	p.inspect("directory-new")
	p.write("servers", strings.TrimPrefix(w.server, "ldaps://"))
	p.write("bindName", "svc@hospital.test")
	p.write("bindPassword", servicePassword)
	p.click("button[value=try]")
	p.until(`document.querySelector("#e-authority")`)
	p.inspect("directory-certificate")
	p.do("paste", pasteInto("authority", w.authority))
	p.click("button[value=try]")
	p.until(`document.querySelector("#found-title")`)
	p.inspect("directory-tried")
	p.click("button[value=save]")
	p.until(`location.pathname.endsWith("/scope")`)
	p.inspect("directory-scope")
	// The tree opens, and choices are made, without another page being loaded.
	p.do("mark", run(`window.same = true`))
	p.click(`.twig[aria-label="Show what is in Groups"]`)
	p.until(`document.querySelector(".twig[aria-expanded=true]") && document.activeElement.matches(".twig")`)
	p.click(`button[value="add|group|` + vpnDN + `"]`)
	p.until(`document.querySelector("[name=chosen]")`)
	p.write("q", "vpn")
	p.do("enter", run(`document.querySelector("#find-groups").click()`))
	p.until(`document.querySelectorAll(".found-groups li").length === 2 && window.same`)
	p.inspect("directory-scope-chosen")
	p.do("on demand", run(`document.querySelector("[name=every]").value = "0s"`))
	p.click("#save")
	p.until(`location.pathname.split("/").length === 3 && document.querySelector(".start-run")`)
	p.inspect("directory-never-run")
	list, err := w.store.Domains(t.Context())
	if err != nil || len(list) != 1 || len(list[0].Scope) != 1 {
		t.Fatalf("%+v %v", list, err)
	}
}

func TestPagesOfSynchronisation(t *testing.T) {
	w := newClinic(t)
	w.someone("olive", sallyport.RoleSuper, true)
	d := w.added(w.in("olive"))
	p := w.browser(t)
	p.signIn("olive")
	path := "/directories/" + string(d.ID)
	p.open(path + "/preview")
	p.inspect("directory-preview-before")
	p.click("main .waits button")
	p.until(`document.querySelector("#added-title")`)
	p.inspect("directory-preview")
	p.open(path)
	p.click(".start-run form:nth-of-type(2) button")
	p.until(`document.querySelector("#history tbody tr:nth-child(2)")`)
	p.inspect("directory")
	d.Scope = []sallyport.DirectoryObject{{Kind: sallyport.ObjectGroup, DN: vpnDN}}
	d, err := w.store.PutDomain(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	w.clock.forward(time.Minute)
	p.open(path)
	p.click(".start-run form:nth-of-type(1) button")
	p.until(`document.querySelector("[data-dialog=confirm-run]")`)
	p.inspect("directory-asks")
	p.click("[data-dialog=confirm-run]")
	p.until(`document.querySelector("#confirm-run").open`)
	p.inspect("directory-confirm")
	y := sallyport.Synchronisation{ID: sallyport.NewID(), Domain: d.ID, Kind: sallyport.SynchroniseFull, State: sallyport.SynchronisationRunning, Started: w.clock.Now().Add(time.Second), Told: w.clock.Now(), By: "schedule", Read: 420}
	if err := w.store.PutSynchronisation(t.Context(), y); err != nil {
		t.Fatal(err)
	}
	p.open(path)
	p.inspect("directory-running")
	y.State, y.Ended = sallyport.SynchronisationDone, w.clock.Now().Add(time.Minute)
	if err := w.store.PutSynchronisation(t.Context(), y); err != nil {
		t.Fatal(err)
	}
	p.until(`document.querySelector("#history") && !document.querySelector(".runs progress")`)
	p.open(path + "/connection")
	p.inspect("directory-connection")
	p.open("/directories")
	p.inspect("directories")
}

// run does something in the page.
func run(js string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void]("void (" + js + ")")
}

func pasteInto(name, text string) chromedp.Action[chromedp.Void] {
	return run("document.querySelector(" + quoted("[name="+name+"]") + ").value = " + quoted(text))
}

func TestPagesOfRulesAndTryIt(t *testing.T) {
	w := newClinic(t)
	w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	d := w.added(c)
	send(c, "/directories/"+string(d.ID)+"/synchronise", "kind", "full")
	p := w.browser(t)
	p.signIn("olive")
	w.policy("Nurses")
	w.tryDoor("Hospital VPN", false)
	p.open("/user-policies/rules")
	p.inspect("rules-none")
	p.click(`button[value="add|ou|` + wardsOU + `"]`)
	p.until(`document.querySelector(".rules li")`)
	p.click(`.twig[aria-label="Show what is in Groups"]`)
	p.click(`button[value="add|group|` + vpnDN + `"]`)
	p.until(`document.querySelectorAll(".rules li").length === 2`)
	p.inspect("rules")
	p.click("#up-2")
	p.until(`document.querySelector(".rules li [name=rule]").value.includes("group")`)
	p.click("#save")
	p.until(`document.querySelector(".note")`)
	p.open("/try")
	p.inspect("try")
	u, err := w.store.UserByAccount(w.t.Context(), sallyport.NewAccountName(d.NetBIOS, "alice"))
	if err != nil {
		w.t.Fatal(err)
	}
	p.open("/try?user=" + string(u.ID))
	p.inspect("try-refused")
	if err := w.store.AssociateWorkflow(w.t.Context(), []sallyport.UserPolicyID{"default"}); err != nil {
		w.t.Fatal(err)
	}
	root := sallyport.Actor{Kind: sallyport.ActorLocal, Name: "root@test", Role: sallyport.RoleSuper}
	if _, _, err := w.admin.IssueTemporaryCode(w.t.Context(), root, u.ID, time.Hour); err != nil {
		w.t.Fatal(err)
	}
	p.open("/try?user=" + string(u.ID))
	p.inspect("try-asked")
	p.open("/try?user=none")
	p.inspect("try-unlisted")
}
