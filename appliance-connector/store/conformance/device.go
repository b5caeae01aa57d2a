package conformance

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

const (
	alice sallyport.AccountName = `hospital\alice`
	bob   sallyport.AccountName = `hospital\bob`
)

func deviceComesBack(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	if list, err := s.Devices(ctx, alice); err != nil || len(list) != 0 {
		t.Fatalf("a new store lists %v, %v", list, err)
	}
	older, newer, other := NewDevice("older", alice), NewDevice("newer", alice), NewDevice("other", bob)
	newer.Enrolled = start.Add(time.Microsecond)
	for _, d := range []sallyport.Device{newer, older, other} {
		must(t, s.PutDevice(ctx, d))
	}
	list, err := s.Devices(ctx, alice)
	must(t, err)
	if want := []sallyport.Device{newer, older}; !reflect.DeepEqual(list, want) {
		t.Fatalf("got %+v, want %+v", list, want)
	}
	older.Name, older.Seed = "renamed", NewDevice("x", alice).Seed
	older.App = sallyport.App{Version: "0.9", WithoutNumberMatching: true}
	must(t, s.PutDevice(ctx, older))
	got, err := s.Device(ctx, older.ID)
	must(t, err)
	if !reflect.DeepEqual(got, older) {
		t.Fatalf("got %+v, want %+v", got, older)
	}
	older.App = sallyport.App{Version: "1.0"}
	must(t, s.SetDeviceApp(ctx, older.ID, older.App))
	got, err = s.Device(ctx, older.ID)
	must(t, err)
	if !reflect.DeepEqual(got, older) {
		t.Fatalf("after the app was updated: %+v, want %+v", got, older)
	}
	newer.App = sallyport.App{Version: "0.8", WithoutNumberMatching: true}
	must(t, s.SetDeviceApp(ctx, newer.ID, newer.App))
	standing, _, err := s.AccountStanding(ctx, alice)
	must(t, err)
	if want := []sallyport.Device{newer, older}; !reflect.DeepEqual(standing.Devices, want) {
		t.Fatalf("a login sees %+v, want %+v", standing.Devices, want)
	}
	wantCode(t, s.SetDeviceApp(ctx, newer.ID, sallyport.App{Version: strings.Repeat("1", 200)}), sallyport.CodeInvalid)
	must(t, s.SetDeviceApp(ctx, "nobodys", older.App))
	must(t, s.DeleteDevice(ctx, older.ID))
	_, err = s.Device(ctx, older.ID)
	wantCode(t, err, sallyport.CodeNotFound)
	wantCode(t, s.DeleteDevice(ctx, older.ID), sallyport.CodeNotFound)
	wantCode(t, s.DeleteDevice(ctx, "a\x00b"), sallyport.CodeInvalid)
}

func devicesPaged(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	const users, each = 5, 3
	for u := range users {
		for n := range each {
			must(t, s.PutDevice(ctx, NewDevice(fmt.Sprint(u, "-", n), sallyport.NewAccountName("hospital", fmt.Sprint("user-", u)))))
		}
	}
	// Collations of people's languages would put this between the others.
	must(t, s.PutDevice(ctx, NewDevice("last", sallyport.NewAccountName("hospital", "user_0"))))
	var all []sallyport.Device
	page := store.DevicePage{Limit: 4}
	for {
		part, err := s.AllDevices(ctx, page)
		must(t, err)
		if len(part) == 0 {
			break
		}
		all = append(all, part...)
		last := part[len(part)-1]
		page.After = store.DeviceMark{Account: last.Account, ID: last.ID}
	}
	if len(all) != users*each+1 {
		t.Fatalf("%d devices in the pages, want %d", len(all), users*each+1)
	}
	for n := range all[1:] {
		a, b := all[n], all[n+1]
		if a.Account > b.Account || a.Account == b.Account && a.ID >= b.ID {
			t.Errorf("%s %s comes before %s %s", a.Account, a.ID, b.Account, b.ID)
		}
	}
	for _, wrong := range []store.DevicePage{{Limit: -1}, {Limit: 1001}, {After: store.DeviceMark{Account: "a\x00", ID: "a"}}} {
		_, err := s.AllDevices(ctx, wrong)
		wantCode(t, err, sallyport.CodeInvalid)
	}
}

func deviceConflict(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	d := NewDevice("phone", alice)
	must(t, s.PutDevice(ctx, d))
	d.Account = bob
	wantCode(t, s.PutDevice(ctx, d), sallyport.CodeConflict)
	got, err := s.Device(ctx, d.ID)
	must(t, err)
	if got.Account != alice {
		t.Fatalf("the device went to %s", got.Account)
	}
	must(t, s.DeleteDevice(ctx, d.ID))
	must(t, s.PutDevice(ctx, d))
}

func deviceRefused(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	for name, spoil := range map[string]func(*sallyport.Device){
		"no id":          func(d *sallyport.Device) { d.ID = "" },
		"no account":     func(d *sallyport.Device) { d.Account = "" },
		"upper case":     func(d *sallyport.Device) { d.Account = `HOSPITAL\alice` },
		"no name":        func(d *sallyport.Device) { d.Name = "" },
		"long name":      func(d *sallyport.Device) { d.Name = strings.Repeat("x", 65) },
		"no key":         func(d *sallyport.Device) { d.PublicKey = nil },
		"long key":       func(d *sallyport.Device) { d.PublicKey = make([]byte, 1025) },
		"short seed":     func(d *sallyport.Device) { d.Seed = d.Seed[:19] },
		"no details key": func(d *sallyport.Device) { d.DetailsKey = nil },
		"platform":       func(d *sallyport.Device) { d.Platform = "toaster" },
		"no time":        func(d *sallyport.Device) { d.Enrolled = time.Time{} },
	} {
		d := NewDevice("phone", alice)
		spoil(&d)
		if err := s.PutDevice(ctx, d); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
	list, err := s.AllDevices(ctx, store.DevicePage{})
	if err != nil || len(list) != 0 {
		t.Fatalf("something was saved: %v, %v", list, err)
	}
}

// hostileText puts text that breaks careless programs wherever people can put text.
func hostileText(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	for n, text := range []string{
		`Robert'); DROP TABLE devices;--`, `"quoted" 'twice' \ %s $1 ?1 :a @b`, "<script>alert(1)</script>",
		"left\u202eright\u2066mark\u200f", "e\u0301 \u00e9 \U0001F469\u200d\u2695\ufe0f", "=cmd|' /C calc'!A0", "%00", `\x00`,
	} {
		d := NewDevice(fmt.Sprint(n), sallyport.AccountName(strings.ToLower(`hospital\`+text)))
		d.Name = text
		must(t, s.PutDevice(ctx, d))
		list, err := s.Devices(ctx, d.Account)
		if err != nil || len(list) != 1 || !reflect.DeepEqual(list[0], d) {
			t.Errorf("%q: got %+v, %v", text, list, err)
		}
		i := NewIntegration(fmt.Sprint("i", n), byte(n))
		i.Nickname = text
		must(t, putIntegration(ctx, s, i))
		if got, err := s.Integration(ctx, i.ID); err != nil || got.Nickname != text {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
		must(t, s.SetSetting(ctx, "text", text+"\r\n\t"+text))
		if got, err := s.Setting(ctx, "text"); err != nil || got != text+"\r\n\t"+text {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"nul\x00", "\xff\xfe", strings.Repeat("x", 1<<20)} {
		d := NewDevice("refused", alice)
		d.Name = text
		wantCode(t, s.PutDevice(ctx, d), sallyport.CodeInvalid)
		_, err := s.Devices(ctx, sallyport.AccountName(text))
		wantCode(t, err, sallyport.CodeInvalid)
		_, err = s.Device(ctx, sallyport.DeviceID(text))
		wantCode(t, err, sallyport.CodeInvalid)
		wantCode(t, s.SetSetting(ctx, "text", text), sallyport.CodeInvalid)
		wantCode(t, s.SetSetting(ctx, text, "x"), sallyport.CodeInvalid)
		_, err = s.Failure(ctx, alice, text, start, time.Minute)
		wantCode(t, err, sallyport.CodeInvalid)
		_, err = s.UseStep(ctx, sallyport.DeviceID(text), 1, "")
		wantCode(t, err, sallyport.CodeInvalid)
		_, err = s.TakeInvite(ctx, store.InviteID(text), start)
		wantCode(t, err, sallyport.CodeInvalid)
		_, err = s.DeleteEnrolment(ctx, sallyport.EnrolmentID(text))
		wantCode(t, err, sallyport.CodeInvalid)
	}
}
