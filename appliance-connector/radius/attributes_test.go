package radius

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/sallyport/sallyport"
	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
)

const doctors = "CN=Doctors,OU=Groups,DC=hospital,DC=example"

// memberships is a directory of groups that counts how often it is asked.
type memberships struct {
	of    map[sallyport.AccountName][]string
	asked atomic.Int64
}

func (m *memberships) Groups(_ context.Context, account sallyport.AccountName) ([]string, error) {
	m.asked.Add(1)
	if account == "hospital\\broken" {
		return nil, errors.New("no domain controller")
	}
	return m.of[account], nil
}

// acceptAs accepts everybody, at once, under the name hospital\user.
type acceptAs struct{}

func (acceptAs) Verify(_ context.Context, q Query) Verdict {
	return Verdict{Accept: q.UserName != "mallory", Account: sallyport.NewAccountName("hospital", q.UserName), Reason: "no", Cure: "none"}
}

func (a acceptAs) VerifyNow(q *Query) (Verdict, bool) {
	return a.Verify(context.Background(), *q), true
}

func TestAttributesThatDependOnNoGroupAskNobody(t *testing.T) {
	dir := &memberships{}
	in := gatewayAt("127.0.0.1/32")
	in.Attributes = []sallyport.GroupAttribute{{Attribute: 25, Type: sallyport.AttributeText, Values: []string{"everybody"}}}
	plain := gatewayAt("127.0.0.2/32")
	plain.ID = "plain"
	s, _ := serve(t, Options{Verifier: acceptAs{}, Groups: dir, Integrations: []sallyport.Integration{in, plain}})
	for from, want := range map[string]string{"127.0.0.1": "everybody", "127.0.0.2": ""} {
		request := withMAC(t, access(t, "alice", "x", secret))
		answer := checkAnswer(t, exchange(t, dial(t, s, from), request, soon), request, secret)
		if got := string(rfc2865.Class_Get(answer)); got != want || answer.Code != radius.CodeAccessAccept {
			t.Errorf("%s: Class %q, %v", from, got, answer.Code)
		}
	}
	if n := dir.asked.Load(); n != 0 {
		t.Errorf("the directory was asked %d times", n)
	}
}

func TestAttributesOfGroupsAreInAcceptsAndInTheirRepetitionsOnly(t *testing.T) {
	dir := &memberships{of: map[sallyport.AccountName][]string{`hospital\alice`: {"cn=doctors,ou=groups,dc=hospital,dc=example"}}}
	in := gatewayAt("127.0.0.1/32")
	in.Attributes = []sallyport.GroupAttribute{{Group: doctors, Attribute: 25, Type: sallyport.AttributeText, Values: []string{"doctor"}}}
	s, log := serve(t, Options{Verifier: acceptAs{}, Groups: dir, Integrations: []sallyport.Integration{in}})
	c := dial(t, s, "127.0.0.1")
	for _, x := range []struct {
		user, class string
		code        radius.Code
	}{
		{"alice", "doctor", radius.CodeAccessAccept}, {"bob", "", radius.CodeAccessAccept},
		{"mallory", "", radius.CodeAccessReject}, {"broken", "", radius.CodeAccessReject},
	} {
		request := withMAC(t, access(t, x.user, "x", secret))
		first := exchange(t, c, request, soon)
		answer := checkAnswer(t, first, request, secret)
		if got := string(rfc2865.Class_Get(answer)); got != x.class || answer.Code != x.code {
			t.Errorf("%s: %v with Class %q", x.user, answer.Code, got)
		}
		before := dir.asked.Load()
		if again := exchange(t, c, request, soon); !bytes.Equal(again, first) || dir.asked.Load() != before {
			t.Errorf("%s: the repetition has another answer, or asked again", x.user)
		}
	}
	if dir.asked.Load() != 3 || log.count("could not read the user's groups: no domain controller") != 1 {
		t.Errorf("asked %d times\n%s", dir.asked.Load(), log)
	}
}

func TestNobodyIsAcceptedWithoutTheirAttributesWhenGroupsAreNotKnown(t *testing.T) {
	in := gatewayAt("127.0.0.1/32")
	in.Attributes = []sallyport.GroupAttribute{{Group: doctors, Attribute: 25, Type: sallyport.AttributeText, Values: []string{"doctor"}}}
	s, log := serve(t, Options{Verifier: acceptAs{}, Integrations: []sallyport.Integration{in}})
	request := withMAC(t, access(t, "alice", "x", secret))
	answer := checkAnswer(t, exchange(t, dial(t, s, "127.0.0.1"), request, soon), request, secret)
	if answer.Code != radius.CodeAccessReject || log.count("attributes depend on groups") != 1 {
		t.Errorf("%v\n%s", answer.Code, log)
	}
	in.Attributes[0].Attribute = 80
	if err := s.SetIntegrations([]sallyport.Integration{in}); err == nil {
		t.Error("an integration may set Message-Authenticator")
	}
}

func TestAttributesAndProxyStatesThatAreTooLongTogetherAreRefused(t *testing.T) {
	in := gatewayAt("127.0.0.1/32")
	in.Attributes = []sallyport.GroupAttribute{{Attribute: 25, Type: sallyport.AttributeText}}
	for n := range 12 {
		in.Attributes[0].Values = append(in.Attributes[0].Values, fmt.Sprintf("%0250d", n))
	}
	s, log := serve(t, Options{Verifier: acceptAs{}, Integrations: []sallyport.Integration{in}})
	c := dial(t, s, "127.0.0.1")
	for states, want := range map[int]radius.Code{3: radius.CodeAccessAccept, 5: radius.CodeAccessReject} {
		request := withMAC(t, access(t, "alice", "x", secret, func(p *radius.Packet) {
			for range states {
				p.Add(rfc2865.ProxyState_Type, bytes.Repeat([]byte{7}, 253))
			}
		}))
		answer := checkAnswer(t, exchange(t, c, request, soon), request, secret)
		classes, _ := rfc2865.Class_Gets(answer)
		if answer.Code != want || (len(classes) == 12) != (want == radius.CodeAccessAccept) {
			t.Errorf("%d Proxy-States: %v with %d attributes", states, answer.Code, len(classes))
		}
	}
	if log.count("too long for an answer") != 1 || s.Stats().Accepted != 1 || s.Stats().Rejected != 1 {
		t.Errorf("%+v\n%s", s.Stats(), log)
	}
}
