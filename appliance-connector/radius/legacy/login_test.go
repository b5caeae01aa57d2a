package legacy_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/gatewaytoken"
	wire "layeh.com/radius"
	"layeh.com/radius/rfc2865"
)

func TestAPushIsHeldAndAnsweredTheMomentTheUserAnswers(t *testing.T) {
	for decision, code := range map[sallyport.Decision]wire.Code{
		sallyport.DecisionApprove: wire.CodeAccessAccept, sallyport.DecisionDeny: wire.CodeAccessReject, sallyport.DecisionNotMe: wire.CodeAccessReject,
	} {
		w := newWorld(t)
		a := w.appliance()
		g := a.gateway(t)
		r := request(t, "alice", password, nil)
		g.send(r)
		_, d := w.push(1)
		if d.User != "alice" || d.Application != "Hospital VPN" || d.Place != "203.0.113.7 via big-ip-1 (vpn.hospital.example)" || d.Digits != 0 {
			t.Errorf("the phone shows %+v", d)
		}
		if b := g.receive(hush); b != nil {
			t.Fatalf("answered before the user: %x", b)
		}
		w.answer(1, decision, "")
		if got := g.answer(r).Code; got != code {
			t.Errorf("%s: %v", decision, got)
		}
		rec := a.records.last()
		if rec.Door != sallyport.DoorRADIUS || rec.Address != "203.0.113.7" || (rec.Outcome == sallyport.OutcomeGranted) != (code == wire.CodeAccessAccept) {
			t.Errorf("recorded: %+v", rec)
		}
	}
}

func TestAWrongPasswordAndAnUnknownUserHearTheSame(t *testing.T) {
	w := newWorld(t)
	g := w.appliance().gateway(t)
	support := regexp.MustCompile(`[0-9A-Z]{4}-[0-9A-Z]{4}`)
	said := map[string]bool{}
	for _, user := range []string{"alice", "nobody"} {
		p := g.ask(user, "wrong", nil)
		want(t, p, wire.CodeAccessReject, "Login failed. Support code ")
		said[support.ReplaceAllString(rfc2865.ReplyMessage_GetString(p), "")] = true
	}
	if len(said) != 1 || w.hub.pushes() != 0 {
		t.Errorf("%v, %d pushes", said, w.hub.pushes())
	}
}

func TestNumberMatchingByChallenge(t *testing.T) {
	w := newWorld(t)
	w.people.set(func(p *people) { p.matching = true })
	a := w.appliance()
	g := a.gateway(t)
	p := g.ask("alice", password, nil)
	want(t, p, wire.CodeAccessChallenge, "in the app on your phone")
	number := regexp.MustCompile(`[0-9]{2}`).FindString(rfc2865.ReplyMessage_GetString(p))
	again := request(t, "alice", "", rfc2865.State_Get(p))
	g.send(again)
	if b := g.receive(hush); b != nil {
		t.Fatalf("answered before the user: %x", b)
	}
	w.answer(1, sallyport.DecisionApprove, number)
	want(t, g.answer(again), wire.CodeAccessAccept, "")
	// And with the wrong one.
	p = g.ask("bob", password, nil)
	want(t, p, wire.CodeAccessChallenge, "")
	w.answer(2, sallyport.DecisionApprove, "09")
	want(t, g.ask("bob", "", rfc2865.State_Get(p)), wire.CodeAccessReject, "Another number was typed on the phone")
}

func TestACodeInsteadOfTheNumber(t *testing.T) {
	w := newWorld(t)
	w.people.set(func(p *people) { p.matching = true })
	g := w.appliance().gateway(t)
	p := g.ask("alice", password, nil)
	want(t, g.ask("alice", w.code(), rfc2865.State_Get(p)), wire.CodeAccessAccept, "")
	if w.hub.ends() != 1 {
		t.Error("the phone still shows the question")
	}
	p = g.ask("bob", password, nil)
	p = g.ask("bob", "code", rfc2865.State_Get(p))
	want(t, p, wire.CodeAccessChallenge, "Type the code that the app shows. Or type push")
	p = g.ask("bob", "000000", rfc2865.State_Get(p))
	want(t, p, wire.CodeAccessChallenge, "That code is not right.")
	p = g.ask("bob", "push", rfc2865.State_Get(p))
	want(t, p, wire.CodeAccessChallenge, "in the app on your phone")
	if w.hub.pushes() != 3 {
		t.Errorf("%d pushes", w.hub.pushes())
	}
}

func TestTheTemporaryCodeIsAskedForFirst(t *testing.T) {
	w := newWorld(t)
	w.people.set(func(p *people) { p.temporary = "12345678" })
	g := w.appliance().gateway(t)
	p := g.ask("alice", password, nil)
	want(t, p, wire.CodeAccessChallenge, "Type your temporary code, or the code that the app shows.")
	want(t, g.ask("alice", "1234 5678", rfc2865.State_Get(p)), wire.CodeAccessAccept, "")
	if w.hub.pushes() != 0 {
		t.Error("the phone was asked, which is not at hand")
	}
}

func TestThreeWrongCodesEndTheLogin(t *testing.T) {
	w := newWorld(t)
	w.people.set(func(p *people) { p.temporary = "12345678" })
	g := w.appliance().gateway(t)
	p := g.ask("alice", password, nil)
	for range 2 {
		p = g.ask("alice", "00000000", rfc2865.State_Get(p))
		want(t, p, wire.CodeAccessChallenge, "That code is not right.")
	}
	want(t, g.ask("alice", "00000000", rfc2865.State_Get(p)), wire.CodeAccessReject, "Too many wrong codes.")
}

func TestTheUserChoosesBeforeThePhoneIsAsked(t *testing.T) {
	w := newWorld(t)
	w.vpn.AskMethod = true
	g := w.appliance().gateway(t)
	for answer, then := range map[string]string{"1": "", "push": "", "": "", "2": "Type the code", "CODE": "Type the code", "the code": ""} {
		user := "u" + answer
		if answer == "the code" {
			user = "alice" // the store has her phone
		}
		p := g.ask(user, password, nil)
		want(t, p, wire.CodeAccessChallenge, "Type 1 to be asked on your phone, 2 ")
		before := w.hub.pushes()
		switch {
		case answer == "the code":
			want(t, g.ask(user, w.code(), rfc2865.State_Get(p)), wire.CodeAccessAccept, "")
		case then != "":
			want(t, g.ask(user, answer, rfc2865.State_Get(p)), wire.CodeAccessChallenge, then)
		default:
			r := request(t, user, answer, rfc2865.State_Get(p))
			g.send(r)
			w.answer(before+1, sallyport.DecisionApprove, "")
			want(t, g.answer(r), wire.CodeAccessAccept, "")
			continue
		}
		if w.hub.pushes() != before {
			t.Errorf("%q: the phone was asked", answer)
		}
	}
}

func TestPasswordAndCodeInOneField(t *testing.T) {
	w := newWorld(t)
	w.vpn.PasscodeSeparator = ","
	g := w.appliance().gateway(t)
	want(t, g.ask("alice", password+","+w.code(), nil), wire.CodeAccessAccept, "")
	if w.hub.pushes() != 0 {
		t.Error("the phone was asked")
	}
	want(t, g.ask("alice", password+",000000", nil), wire.CodeAccessChallenge, "That code is not right.")
	w.people.set(func(p *people) { p.temporary = "12345678" })
	r := request(t, "bob", password+",push", nil)
	g.send(r)
	w.answer(1, sallyport.DecisionApprove, "") // although a temporary code would be asked for first
	want(t, g.answer(r), wire.CodeAccessAccept, "")
	want(t, g.ask("carol", password+",12345678", nil), wire.CodeAccessAccept, "")
	t.Run("off by default", func(t *testing.T) {
		w := newWorld(t)
		want(t, w.appliance().gateway(t).ask("alice", password+","+w.code(), nil), wire.CodeAccessReject, "Login failed.")
	})
}

func TestAGatewayTokenIsRecognisedFirst(t *testing.T) {
	token := string(ring(t).Mint("vpn", `hospital\alice`, [8]byte{1}, newWorld(t).now()))
	for experience, c := range map[sallyport.Experience]struct {
		token, password wire.Code
	}{
		"":                         {wire.CodeAccessAccept, wire.CodeAccessAccept}, // all is for those who check tokens
		sallyport.ExperienceCloud:  {wire.CodeAccessAccept, wire.CodeAccessAccept},
		sallyport.ExperienceBoth:   {wire.CodeAccessAccept, wire.CodeAccessReject},
		sallyport.ExperienceLegacy: {wire.CodeAccessReject, wire.CodeAccessReject},
	} {
		w := newWorld(t)
		w.vpn.Experience = experience
		a := w.appliance()
		g := a.gateway(t)
		if p := g.ask("alice", token, nil); p.Code != c.token {
			t.Errorf("%q: a token has %v", experience, p.Code)
		}
		// A passcode alone is a password, and a wrong one, wherever the password is not checked by the gateway.
		if p := g.ask("alice", w.code(), nil); p.Code != c.password {
			t.Errorf("%q: a passcode alone has %v", experience, p.Code)
		}
		if experience == sallyport.ExperienceLegacy && (!a.log.has("set the integration's experience to both") || w.binds.Load() != 1) {
			t.Errorf("%d binds\n%s", w.binds.Load(), a.log)
		}
	}
}

func ring(t *testing.T) gatewaytoken.Ring {
	r, err := newWorld(t).ring.Tokens()
	check(t, err)
	return r
}

func TestAttributesAreTheSameWhateverTheFactor(t *testing.T) {
	w := newWorld(t)
	w.vpn.PasscodeSeparator = ","
	w.vpn.Attributes = []sallyport.GroupAttribute{
		{Attribute: 27, Type: sallyport.AttributeInteger, Values: []string{"3600"}},
		{Group: "CN=Doctors,DC=hospital,DC=example", Attribute: 25, Type: sallyport.AttributeText, Values: []string{"doctor"}},
	}
	w.people.set(func(p *people) { p.temporary = "12345678" })
	g := w.appliance().gateway(t)
	proxied := func(p *wire.Packet) {
		p.Add(rfc2865.ProxyState_Type, []byte("one"))
		p.Add(rfc2865.ProxyState_Type, []byte("two"))
	}
	pushed := request(t, "alice", password+",push", nil, proxied)
	g.send(pushed)
	w.answer(1, sallyport.DecisionApprove, "")
	var first []byte
	for name, p := range map[string]*wire.Packet{
		"push": g.answer(pushed), "token code": g.ask("alice", password+","+w.code(), nil, proxied), "temporary code": g.ask("carol", password+",12345678", nil, proxied),
	} {
		want(t, p, wire.CodeAccessAccept, "")
		var all []byte
		for _, a := range p.Attributes[1:] { // behind Message-Authenticator
			all = append(append(all, byte(a.Type)), a.Attribute...)
		}
		if first == nil {
			first = all
		}
		if !bytes.Equal(all, first) || !bytes.Contains(all, []byte("doctor")) || !bytes.HasSuffix(all, []byte("!two")) || !bytes.Contains(all, []byte("!one")) {
			t.Errorf("%s: %q, another one %q", name, all, first)
		}
	}
	challenge := g.ask("dora", password, nil, proxied)
	want(t, challenge, wire.CodeAccessChallenge, "")
	if states, _ := rfc2865.ProxyState_Gets(challenge); len(states) != 2 || string(states[0]) != "one" || rfc2865.Class_Get(challenge) != nil {
		t.Errorf("the challenge has %q", states)
	}
}

func TestLongPasswordsInBothEncodings(t *testing.T) {
	latin := "any:Pässwörd€" + strings.Repeat("é", 128-13)
	for _, c := range []struct {
		encoding sallyport.PasswordEncoding
		sent     string
		fails    string
	}{
		{"", "any:Pässwörd€" + strings.Repeat("x", 128-18), ""},
		{sallyport.PasswordUTF8, "any:" + strings.Repeat("ж", 62), ""},
		{sallyport.PasswordWindows1252, windows1252(latin), ""},
		{sallyport.PasswordUTF8, windows1252(latin), "the password cannot be decoded"},
	} {
		w := newWorld(t)
		w.vpn.PasswordEncoding, w.vpn.PasscodeSeparator = c.encoding, ""
		a := w.appliance()
		g := a.gateway(t)
		r := request(t, "alice", c.sent, nil)
		g.send(r)
		if c.fails != "" {
			want(t, g.answer(r), wire.CodeAccessReject, "")
			if !a.log.has(c.fails) {
				t.Errorf("log:\n%s", a.log)
			}
			continue
		}
		w.answer(1, sallyport.DecisionApprove, "")
		want(t, g.answer(r), wire.CodeAccessAccept, "")
	}
}

// windows1252 writes the few letters of these tests.
func windows1252(s string) string {
	return strings.NewReplacer("ä", "\xe4", "ö", "\xf6", "é", "\xe9", "€", "\x80").Replace(s)
}

func TestWhatCannotBeginALoginIsRefusedWithoutTheDirectory(t *testing.T) {
	w := newWorld(t)
	a := w.appliance()
	g := a.gateway(t)
	for cause, p := range map[string][2]string{
		"empty password":        {"alice", ""},
		"user name is not text": {"ali\xffce", password},
	} {
		want(t, g.ask(p[0], p[1], nil), wire.CodeAccessReject, "Login failed.")
		if !a.log.has(cause) {
			t.Errorf("log:\n%s", a.log)
		}
	}
	if w.binds.Load() != 0 {
		t.Error("the directory was asked")
	}
}

func TestOutagesAreSaidAndLeaveTheWayFree(t *testing.T) {
	w := newWorld(t)
	w.down.Store(true)
	g := w.appliance().gateway(t)
	want(t, g.ask("alice", password, nil), wire.CodeAccessReject, "not available right now")
	w.down.Store(false)
	w.hub.breakDown()
	want(t, g.ask("alice", password, nil), wire.CodeAccessChallenge, "Your phone could not be asked. Type the code that the app shows.")
}

func TestNoPasswordAndNoCodeIsInTheLog(t *testing.T) {
	w := newWorld(t)
	w.vpn.PasscodeSeparator = ","
	a := w.appliance()
	g := a.gateway(t)
	code := w.code()
	g.ask("alice", password+","+code, nil)
	g.ask("alice", password+"-wrong", nil)
	if a.log.has(password) || strings.Contains(a.log.String(), "="+code) {
		t.Errorf("log:\n%s", a.log)
	}
}
