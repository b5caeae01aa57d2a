package login_test

import (
	"context"
	"slices"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/login"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

// deviceApps is the token service's word of an app, and the store.
type deviceApps struct {
	*world
	said []byte
}

func (a *deviceApps) App(context.Context, sallyport.DeviceID) ([]byte, error) { return a.said, nil }

func (a *deviceApps) SetDeviceApp(ctx context.Context, id sallyport.DeviceID, app sallyport.App) error {
	return a.store.SetDeviceApp(ctx, id, app)
}

func (a *deviceApps) says(app sallyport.App) {
	a.t.Helper()
	var err error
	a.said, err = deviceproto.SealApp(a.key, a.device.DetailsKey, app, a.now)
	check(a.t, err)
}

// oldApp gives the user a device whose app cannot ask for a number.
func oldApp(t *testing.T, required bool) (*world, *deviceApps) {
	t.Helper()
	w := newWorld(t)
	w.enrol("alice")
	w.people.standing.Workflow.NumberMatching = required
	w.device.App = sallyport.App{Version: "0.9", WithoutNumberMatching: true}
	check(t, w.store.PutDevice(t.Context(), w.device))
	a := &deviceApps{world: w}
	w.engine.DeviceApps = a
	return w, a
}

func (w *world) kept() sallyport.App {
	w.t.Helper()
	d, err := w.store.Device(w.t.Context(), w.device.ID)
	check(w.t, err)
	return d.App
}

func TestAnAppWithoutNumberMatchingIsAskedForItsTokenCode(t *testing.T) {
	w, a := oldApp(t, true)
	s := w.begin("l1")
	w.at(s, sallyport.PromptCode, sallyport.ReasonUpdateApp)
	if p := w.engine.Prompt(s); p.Methods[0] != sallyport.MethodCode || slices.Contains(p.Methods, sallyport.MethodPush) {
		t.Errorf("offered: %v", p.Methods)
	}
	if _, err := w.engine.Push(t.Context(), s); sallyport.ErrorCode(err) != sallyport.CodeConflict {
		t.Errorf("a push is asked for all the same: %v", err)
	}
	code, err := deviceproto.TokenCode(w.device.Seed, w.now)
	check(t, err)
	s, err = w.engine.Code(t.Context(), s, code)
	check(t, err)
	w.at(s, sallyport.PromptDone, "")

	// What somebody else says of the app does not count; what the device says does, from the next login on.
	other, err := deviceproto.NewKey()
	check(t, err)
	a.said, err = deviceproto.SealApp(other, w.device.DetailsKey, sallyport.App{Version: "9"}, w.now)
	check(t, err)
	w.at(w.begin("l2"), sallyport.PromptCode, sallyport.ReasonUpdateApp)
	a.says(sallyport.App{Version: "1.1"})
	s = w.begin("l3")
	w.at(s, sallyport.PromptPush, "")
	if got := w.kept(); got != (sallyport.App{Version: "1.1"}) {
		t.Errorf("kept: %+v", got)
	}
}

func TestWithoutNumberMatchingAnOldAppIsAskedWithoutANumber(t *testing.T) {
	w, _ := oldApp(t, false)
	s := w.begin("l1")
	w.at(s, sallyport.PromptPush, "")
	if n := w.engine.Prompt(s).Number; n != "" {
		t.Errorf("the page shows the number %s", n)
	}
	// With its answer the device says what its app is now.
	box, err := deviceproto.SealAnswer(w.key, w.device.DetailsKey, deviceproto.Answer{Challenge: s.Challenge, Decision: sallyport.DecisionApprove,
		User: "Alice", Application: "Hospital VPN", At: w.now, App: &sallyport.App{Version: "1.0"}})
	check(t, err)
	w.at(w.happens(s, login.ChallengeEvent{Answer: box}), sallyport.PromptDone, "")
	if got := w.kept(); got != (sallyport.App{Version: "1.0"}) {
		t.Errorf("kept: %+v", got)
	}
}
