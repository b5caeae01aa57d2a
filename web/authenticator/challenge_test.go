package authenticator_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/sallyport/sallyport"
)

func clickCSS(selector string) chromedp.Action[chromedp.Void] {
	return chromedp.Click(chromedp.CSS(selector))
}

func (b stories) approveWithTheNumber(t *testing.T) {
	p := b.phone(t, newService(t), 320, 640)
	e := p.enrol("alice", "St. Mary's Hospital")
	c := p.ask(e, signIn, time.Minute)
	p.says("challenge-enterprise", "St. Mary's Hospital")
	p.says("challenge-application", "Hospital VPN")
	p.says("challenge-place", "203.0.113.7")
	p.until(`document.getElementById("challenge-time").textContent.includes("2026")`)

	p.until(`document.getElementById("approve").disabled`)
	p.write("number", "4x")
	p.until(`document.getElementById("number").value === "4" && document.getElementById("approve").disabled`)
	p.write("number", "29") // the third digit does not fit
	p.until(`document.getElementById("number").value === "42" && !document.getElementById("approve").disabled`)
	p.click("approve")
	p.says("result-title", "Sent")

	a := p.answered(c)
	if a.Decision != sallyport.DecisionApprove || a.Number != "42" || a.User != "alice" || a.Application != "Hospital VPN" {
		t.Errorf("answered %+v", a)
	}
	if age := time.Since(a.At); age < -5*time.Second || age > time.Minute {
		t.Errorf("answered at %v", a.At)
	}
	p.click("result-done")
	p.until(`!document.getElementById("challenge").open`)
}

func (b stories) enterSendsTheNumber(t *testing.T) {
	p := b.phone(t, newService(t), 1280, 900)
	e := p.enrol("alice", "General")
	c := p.ask(e, signIn, time.Minute)
	p.until(`document.activeElement.id === "number"`) // there is a keyboard here
	p.do("type", chromedp.KeyEvent("07\r"))
	if a := p.answered(c); a.Number != "07" {
		t.Errorf("answered %+v", a)
	}
}

func (b stories) deny(t *testing.T) {
	p := b.phone(t, newService(t), 320, 640)
	c := p.ask(p.enrol("alice", "General"), signIn, time.Minute)
	p.click("deny")
	p.says("result-title", "Denied")
	if a := p.answered(c); a.Decision != sallyport.DecisionDeny || a.Number != "" {
		t.Errorf("answered %+v", a)
	}
}

func (b stories) thisWasNotMeExplainsThenReports(t *testing.T) {
	p := b.phone(t, newService(t), 320, 640)
	c := p.ask(p.enrol("alice", "General"), signIn, time.Minute)
	p.click("not-me")
	p.says("not-me-title", "Somebody else may know your password")
	p.click("not-me-back")
	p.says("challenge-title", "Are you signing in?")
	if c.Posts() != 0 {
		t.Error("reported before it was confirmed")
	}
	p.click("not-me")
	p.click("not-me-confirm")
	p.says("result-title", "Stopped and reported")
	if a := p.answered(c); a.Decision != sallyport.DecisionNotMe {
		t.Errorf("answered %+v", a)
	}
}

func (b stories) withoutNumberMatchingOneTouchIsEnough(t *testing.T) {
	p := b.phone(t, newService(t), 320, 640)
	d := signIn
	d.Digits = 0
	c := p.ask(p.enrol("alice", "General"), d, time.Minute)
	p.until(`!document.getElementById("number-row").checkVisibility()`)
	p.click("approve")
	if a := p.answered(c); a.Decision != sallyport.DecisionApprove || a.Number != "" {
		t.Errorf("answered %+v", a)
	}
}

func (b stories) aChallengeThatExpires(t *testing.T) {
	p := b.phone(t, newService(t), 320, 640)
	e := p.enrol("alice", "General")
	c := p.ask(e, signIn, 1500*time.Millisecond)
	p.says("result-title", "Too late")
	if c.Posts() != 0 {
		t.Error("answered by itself")
	}
	next := p.ask(e, signIn, time.Minute) // takes the place of the result
	p.click("deny")
	p.answered(next)
}

func (b stories) aChallengeThatIsCancelled(t *testing.T) {
	p := b.phone(t, newService(t), 320, 640)
	c := p.ask(p.enrol("alice", "General"), signIn, time.Minute)
	c.Cancel()
	p.says("result-title", "No longer needed")
}

func (b stories) aNewerChallengeTakesThePlaceOfTheOlder(t *testing.T) {
	p := b.phone(t, newService(t), 320, 640)
	e := p.enrol("alice", "General")
	old := p.ask(e, signIn, time.Minute)
	p.write("number", "1")
	d := signIn
	d.User = "alice.l"
	c := p.ask(e, d, time.Minute)
	p.until(`document.getElementById("number").value === ""`)
	p.write("number", "77")
	p.click("approve")
	if a := p.answered(c); a.Number != "77" || a.User != "alice.l" {
		t.Errorf("answered %+v", a)
	}
	if old.Posts() != 0 {
		t.Error("the older one was answered")
	}
}

func (b stories) twoAccountsAskOneAfterTheOther(t *testing.T) {
	p := b.phone(t, newService(t), 320, 640)
	first, second := p.enrol("alice", "General"), p.enrol("bob", "Clinic")
	one := p.ask(first, signIn, time.Minute)
	two, err := p.service.Ask(second, sallyport.ChallengeDetails{User: "bob", Application: "Clinic VPN", Digits: 2}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	p.says("challenge-user", "alice")
	p.click("deny")
	p.answered(one)
	p.says("result-title", "Denied")
	p.until(`(document.getElementById("result-done").click(), document.getElementById("challenge-user").textContent === "bob")`)
	p.click("deny")
	p.answered(two)
}

func (b stories) answerLaterFromTheHomeScreen(t *testing.T) {
	p := b.phone(t, newService(t), 320, 640)
	c := p.ask(p.enrol("alice", "General"), signIn, time.Minute)
	p.click("later")
	p.until(`!document.getElementById("challenge").open && document.getElementById("reopen").checkVisibility()`)
	p.click("reopen")
	p.says("challenge-title", "Are you signing in?")
	p.do("escape", chromedp.KeyEvent("\u001b"))
	p.until(`!document.getElementById("challenge").open`)
	p.click("reopen")
	p.click("deny")
	p.answered(c)
}

func (b stories) anAnswerWhoseReceiptGotLostIsSentAgainTheSame(t *testing.T) {
	p := b.phone(t, newService(t), 320, 640)
	e := p.enrol("alice", "General")
	p.service.DropAnswers(1)
	c := p.ask(e, signIn, time.Minute)
	p.write("number", "42")
	p.click("approve")
	p.says("result-title", "Sent") // other octets would have been a conflict
	if a := p.answered(c); a.Number != "42" || c.Posts() < 2 {
		t.Errorf("answered %+v, %d times", a, c.Posts())
	}
}

func (b stories) aReceiptThatNeverComesIsSaidPlainly(t *testing.T) {
	p := b.phone(t, newService(t), 320, 640)
	e := p.enrol("alice", "General")
	p.service.DropAnswers(1000)
	c := p.ask(e, signIn, time.Minute)
	p.click("deny")
	p.says("result-title", "Probably sent")
	p.answered(c)
}

func (b stories) detailsThatSomebodyEditedAreNotShown(t *testing.T) {
	p := b.phone(t, newService(t), 320, 640)
	e := p.enrol("alice", "General")
	p.service.SetDown(true)
	c, err := p.service.Ask(e, signIn, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	c.Spoil()
	p.service.SetDown(false)
	p.says("notice", "A sign-in request came that this device cannot read. If you are signing in, use the token code.")
	if eval[bool](p, `document.getElementById("challenge").open`) {
		t.Error("asks about what it cannot read")
	}
}

func (b stories) whatIsShownIsTextAndNothingElse(t *testing.T) {
	p := b.phone(t, newService(t), 320, 640)
	e := p.enrol("<b>alice</b>", `<img src=x onerror="document.title='owned'">`)
	d := signIn
	d.Application, d.Place = "<script>document.title='owned'</script>", "\u202e7.311.0.302"
	if _, err := p.service.Ask(e, d, time.Minute); err != nil {
		t.Fatal(err)
	}
	p.says("challenge-application", d.Application)
	p.says("challenge-place", "7.311.0.302")
	if title := eval[string](p, `document.title`); title != "Sallyport" {
		t.Errorf("the title is %q", title)
	}
}

// The sheet has to work for somebody who does not see it, and on the narrowest phone.
func (b stories) theSheetIsUsableByKeyboardAndAtPhoneWidth(t *testing.T) {
	p := b.phone(t, newService(t), 320, 640)
	e := p.enrol(strings.Repeat("alice.", 20), strings.Repeat("Hospital", 16))
	d := signIn
	d.User, d.Application, d.Place = strings.Repeat("alice.", 20), strings.Repeat("Application", 11), strings.Repeat("2001:db8:", 14)
	if _, err := p.service.Ask(e, d, time.Minute); err != nil {
		t.Fatal(err)
	}
	p.says("challenge-title", "Are you signing in?")
	if eval[bool](p, `document.getElementById("challenge").scrollWidth > 320 || document.documentElement.scrollWidth > 320`) {
		t.Error("scrolls sideways at 320 px")
	}
	small := eval[string](p, `[...document.querySelectorAll("#challenge button, #challenge input")]
		.filter((e) => e.checkVisibility() && (e.getBoundingClientRect().height < 44 || e.getBoundingClientRect().width < 44)).map((e) => e.id).join()`)
	if small != "" {
		t.Errorf("too small to touch: %s", small)
	}
	unnamed := eval[string](p, `[...document.querySelectorAll("button, input, textarea")]
		.filter((e) => e.checkVisibility() && !(e.ariaLabel || e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML).join()`)
	if unnamed != "" {
		t.Errorf("without a name: %s", unnamed)
	}
	order := []string{}
	for range 5 {
		p.do("tab", chromedp.KeyEvent("\t"))
		order = append(order, eval[string](p, `document.activeElement.id`))
	}
	if got := strings.Join(order, " "); !strings.Contains(got, "deny not-me") {
		t.Errorf("the tab key goes %s", got)
	}
}

func (b stories) aPushWakesThePage(t *testing.T) {
	s := newService(t)
	sim := newPushSim(t)
	s.PushURL = sim.server.URL
	p := b.phone(t, s, 320, 640)
	e := p.enrol("alice", "General")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := e.Push(ctx, sim.knows); err != nil {
		t.Fatalf("push address did not arrive: %v", err)
	}
	// While the service is down the page waits longer and longer; the push ends the wait.
	s.SetDown(true)
	p.open(p.address())
	c, err := s.Ask(e, signIn, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	s.SetDown(false)
	if err := sim.push(ctx, string(c.ID)); err != nil {
		t.Fatal(err)
	}
	p.says("challenge-user", "alice")
	p.click("deny")
	p.answered(c)
}

func (b stories) aPushAddressThatWasForgottenIsReplaced(t *testing.T) {
	s := newService(t)
	sim := newPushSim(t)
	s.PushURL = sim.server.URL
	p := b.phone(t, s, 320, 640)
	e := p.enrol("alice", "General")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := e.Push(ctx, sim.knows); err != nil {
		t.Fatalf("push address did not arrive: %v", err)
	}
	sim.forgetAll()
	if err := e.Push(ctx, sim.knows); err != nil {
		t.Fatalf("the new push address did not arrive: %v", err)
	}
}
