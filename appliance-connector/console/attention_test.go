package console

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func TestTheOverviewTellsWhatNeedsAttention(t *testing.T) {
	var ends time.Time
	w := newWorld(t, worldOptions{watched: admin.Watched{CertificateEnds: func() time.Time { return ends }}})
	ends = w.clock.Now().AddDate(1, 0, 0)
	w.someone("olive", sallyport.RoleSuper, true)
	c := w.in("olive")
	tells := func(what string, want bool) {
		t.Helper()
		if got := strings.Contains(c.get("/").body, what); got != want {
			t.Errorf("%q is told: %v", what, got)
		}
	}
	for _, what := range []string{"No directory is connected", "No user policy is live", "No gateway is connected"} {
		tells(what, true)
	}
	for _, what := range []string{"E-mail does not get through", "certificate", "The audit trail does not hold"} {
		tells(what, false)
	}
	w.domain()
	if err := w.store.AssociateWorkflow(t.Context(), []sallyport.UserPolicyID{"default"}); err != nil {
		t.Fatal(err)
	}
	tells("No directory is connected", false)
	tells("No user policy is live", false)
	ends = w.clock.Now().AddDate(0, 0, 10)
	tells("certificate expires soon", true)
	ends = w.clock.Now().Add(-time.Hour)
	tells("certificate has expired", true)
	now := w.clock.Now()
	if err := w.store.QueueMail(t.Context(), sallyport.Mail{ID: "m1", Created: now, Recipients: []string{"it@hospital.example"}, Subject: "x", Text: "y"}); err != nil {
		t.Fatal(err)
	}
	tells("E-mail does not get through", false) // it only waits
	if _, _, err := w.store.LeaseMail(t.Context(), "a1", now, now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := w.store.FinishMail(t.Context(), "m1", "a1", store.MailResult{State: sallyport.MailWaiting, Answer: "Nothing answers at mail.test:587.", NextTry: now.Add(time.Minute)}, now); err != nil {
		t.Fatal(err)
	}
	tells("Nothing answers at mail.test:587.", true)
	if a := send(c, "/audit/verify"); !strings.Contains(a.body, "The trail holds") {
		t.Errorf("%d", a.StatusCode)
	}
	tells("The audit trail does not hold", false)
	if err := w.store.AppendAudit(t.Context(), []sallyport.AuditRecord{{Time: w.clock.Now().Add(time.Second), Action: "audit.verify", Reason: "Record 3 was changed."}}); err != nil {
		t.Fatal(err)
	}
	tells("Record 3 was changed.", true)
	tells("A remembered device was copied", false)
	if err := w.store.AppendAudit(t.Context(), []sallyport.AuditRecord{{Time: w.clock.Now(), Action: "remembered device.copied", Actor: sallyport.Actor{Kind: sallyport.ActorUser, Name: "alice"}}}); err != nil {
		t.Fatal(err)
	}
	tells("A remembered device was copied", true)
	tells("Somebody else has a password", false)
	if err := w.store.AppendAudit(t.Context(), []sallyport.AuditRecord{{Time: w.clock.Now(), Action: "login.not_me", Actor: sallyport.Actor{Kind: sallyport.ActorUser, Name: "alice"}}}); err != nil {
		t.Fatal(err)
	}
	tells("Somebody else has a password", true)
	tells("remembered for alice", true)
	w.someone("hanna", sallyport.RoleHelpDesk, true)
	c = w.in("hanna")
	for _, what := range []string{"Record 3", "was copied", "mail.test", "certificate", "No directory"} {
		tells(what, false)
	}
}

func TestTheChartIsForEverybody(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.logins()
	w.someone("olive", sallyport.RoleSuper, true)
	body := w.in("olive").get("/").body
	for _, part := range []string{`<svg viewBox=`, `aria-hidden="true"`, "The same as a table", `<th scope="col" class="number">Let in</th>`, "Logins in the last 24 hours"} {
		if !strings.Contains(body, part) {
			t.Errorf("no %q", part)
		}
	}
}
