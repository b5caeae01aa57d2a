package e2e_test

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/test/browserclient"
	"github.com/sallyport/sallyport/test/stack"
)

// remembering lets users have their devices remembered. Nobody else looks at that.
func remembering(t *testing.T, s *stack.Stack) {
	t.Helper()
	flow, err := s.Store.LoginWorkflow(within(t, patience))
	if err == nil && !flow.Remember.Allowed {
		flow.Remember = sallyport.RememberPolicy{Allowed: true, For: 30 * 24 * time.Hour}
		_, err = s.Store.SetLoginWorkflow(within(t, patience), flow)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// rememberedFor logs in with the box ticked.
func rememberedFor(t *testing.T, s *stack.Stack, u stack.User, d *stack.Device) *browserclient.Memory {
	t.Helper()
	l := pushed(t, s.PageAt(0), u)
	m, err := l.Tick(within(t, patience))
	if err == nil {
		err = d.Approve(within(t, patience), l.Prompt.Number)
	}
	if err != nil {
		t.Fatal(err)
	}
	tokenOf(t, l)
	if err := m.Keep(l.Prompt); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestARememberedDeviceFromTickToTheft goes from the box on the page to the day on which the browser's storage is copied,
// with two replicas of the cloud and two appliances.
func TestARememberedDeviceFromTickToTheft(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	remembering(t, s)
	u, d := enrolled(t, s)
	m := rememberedFor(t, s, u, d)

	logIn := func(replica int, m *browserclient.Memory) *browserclient.Login {
		t.Helper()
		l, err := s.PageAt(replica).LogInRemembered(within(t, patience), u.Name, u.Password, m)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	for replica := range 2 {
		l := logIn(replica, m)
		if l.Prompt.Kind != sallyport.PromptDone {
			t.Fatalf("prompt %+v", l.Prompt)
		}
		if !radclient(t, s, s.RADIUSAddrs()[replica], u.Name, sallyport.Secret(l.Prompt.Token)) {
			t.Error("the gateway token is refused")
		}
		recorded(t, s, l.Prompt.SupportCode, sallyport.LoginRecord{Outcome: sallyport.OutcomeGranted, Method: sallyport.MethodRemembered, Account: u.Account(), Door: sallyport.DoorOverlay}, 4, 5, 11, 15)
	}
	list, err := s.Store.RememberedDevices(within(t, patience), u.Account())
	if err != nil || len(list) != 1 || list[0].ID != m.ID || list[0].Uses != 2 || list[0].LastPlace != "127.0.0.1" {
		t.Errorf("listed: %+v, %v", list, err)
	}
	wrong := *m
	if l, err := s.Page().LogInRemembered(within(t, patience), u.Name, "not the password", &wrong); err != nil || l.Prompt.Reason != sallyport.ReasonCredentials {
		t.Errorf("with a wrong password: %v, %+v", err, l.Prompt)
	}
	m.Uses = wrong.Uses

	thief := *m
	if l := logIn(0, &thief); l.Prompt.Kind != sallyport.PromptDone {
		t.Errorf("the thief is asked: %+v", l.Prompt)
	}
	l := logIn(1, m)
	if l.Prompt.Kind != sallyport.PromptPush {
		t.Errorf("the owner is not asked: %+v", l.Prompt)
	}
	if err := l.Say(within(t, patience), browserclient.Message{Action: "cancel"}); err != nil {
		t.Fatal(err)
	}
	stack.Until(t, patience, "the copy is in the trail", func() bool {
		page, err := s.Store.AuditRecords(within(t, patience), store.AuditQuery{Action: "remembered device.copied", SupportCode: l.Prompt.SupportCode})
		return err == nil && len(page.Records) == 1
	})
	if l := logIn(0, &thief); l.Prompt.Kind != sallyport.PromptPush {
		t.Errorf("the thief is not asked: %+v", l.Prompt)
	} else if err := l.Say(within(t, patience), browserclient.Message{Action: "cancel"}); err != nil {
		t.Fatal(err)
	}

	// Remembered anew, and then all of hers revoked: at once, at both appliances.
	m = rememberedFor(t, s, u, d)
	if l := logIn(0, m); l.Prompt.Kind != sallyport.PromptDone {
		t.Errorf("remembered anew: %+v", l.Prompt)
	}
	listed, err := s.Store.UserByAccount(within(t, patience), u.Account())
	if err == nil {
		err = s.Store.RequireSecondFactor(within(t, patience), listed.ID, time.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
	for replica := range 2 {
		l := logIn(replica, m)
		if l.Prompt.Kind != sallyport.PromptPush {
			t.Errorf("revoked, and not asked: %+v", l.Prompt)
		}
		if err := l.Say(within(t, patience), browserclient.Message{Action: "cancel"}); err != nil {
			t.Fatal(err)
		}
	}
}
