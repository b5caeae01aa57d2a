package radius

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"
	"layeh.com/radius/rfc2869"
)

// ledger keeps accounting as the store does: once by its key.
type ledger struct {
	mu    sync.Mutex
	away  bool
	calls int
	kept  []sallyport.RADIUSActivity
	keys  map[string]bool
}

func (l *ledger) RecordRADIUS(_ context.Context, list []sallyport.RADIUSActivity) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls++; l.away {
		return errors.New("the database is away")
	}
	for _, a := range list {
		if !l.keys[a.Key] {
			l.kept = append(l.kept, a)
		}
		if l.keys == nil {
			l.keys = map[string]bool{}
		}
		l.keys[a.Key] = true
	}
	return nil
}

func (l *ledger) all() []sallyport.RADIUSActivity {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]sallyport.RADIUSActivity(nil), l.kept...)
}

func (l *ledger) set(away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = away
}

// accountingRequest is one as a gateway makes it, with delay seconds since the thing happened.
func accountingRequest(t testing.TB, secret string, status rfc2866.AcctStatusType, session string, delay uint32, edit ...func(*radius.Packet)) []byte {
	t.Helper()
	p := radius.New(radius.CodeAccountingRequest, []byte(secret))
	err := errors.Join(rfc2866.AcctStatusType_Set(p, status), rfc2866.AcctSessionID_SetString(p, session), rfc2865.UserName_SetString(p, "alice"),
		rfc2865.NASIdentifier_SetString(p, "big-ip-1"), rfc2865.CallingStationID_SetString(p, "203.0.113.7"))
	if delay > 0 {
		err = errors.Join(err, rfc2866.AcctDelayTime_Set(p, rfc2866.AcctDelayTime(delay)))
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range edit {
		e(p)
	}
	return encode(t, p)
}

// checkAccounting holds that an answer is the one to a request.
func checkAccounting(t testing.TB, answer, request []byte, secret string) {
	t.Helper()
	if len(answer) < headerSize || radius.Code(answer[0]) != radius.CodeAccountingResponse || !radius.IsAuthenticResponse(answer, request, []byte(secret)) {
		t.Fatalf("not the answer: %x", answer)
	}
}

func accountingServer(t testing.TB, opts Options) (*Server, *lines, *ledger) {
	t.Helper()
	l := &ledger{}
	if opts.Accounting != nil { // another appliance's, which has the same database
		l = opts.Accounting.Recorder.(*ledger)
	}
	opts.Accounting = &AccountingOptions{Address: "127.0.0.1:0", Recorder: l}
	if opts.Verifier == nil {
		opts.Verifier, _ = knows("right")
	}
	s, log := serve(t, opts)
	return s, log, l
}

func dialAccounting(t testing.TB, s *Server) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, net.UDPAddrFromAddrPort(s.AccountingAddr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestAccountingIsAnsweredWhenItIsRecordedAndRecordedOnce(t *testing.T) {
	now := time.Date(2026, 11, 30, 8, 0, 10, 0, time.UTC)
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	s, _, l := accountingServer(t, Options{Now: clock, Appliance: "a1"})
	other, _, _ := accountingServer(t, Options{Now: clock, Appliance: "a2", Accounting: &AccountingOptions{Recorder: l}})
	c := dialAccounting(t, s)
	request := accountingRequest(t, secret, rfc2866.AcctStatusType_Value_Start, "s1", 0, func(p *radius.Packet) {
		p.Add(rfc2865.ProxyState_Type, []byte("one"))
		p.Add(rfc2865.ProxyState_Type, []byte("two"))
	})
	first := exchange(t, c, request, soon)
	checkAccounting(t, first, request, secret)
	if string(first[headerSize:]) != "\x21\x05one\x21\x05two" {
		t.Errorf("Proxy-States %q", first[headerSize:])
	}
	for range 3 {
		checkAccounting(t, exchange(t, c, request, soon), request, secret)
	}
	checkAccounting(t, exchange(t, dialAccounting(t, other), request, soon), request, secret)
	mu.Lock()
	now = now.Add(7 * time.Second)
	mu.Unlock()
	again := accountingRequest(t, secret, rfc2866.AcctStatusType_Value_Start, "s1", 7) // the gateway tries on, in a new packet
	checkAccounting(t, exchange(t, c, again, soon), again, secret)
	if got := l.all(); len(got) != 1 || got[0].Outcome != sallyport.RADIUSAccounting || got[0].UserName != "alice" || got[0].Integration != "vpn" || got[0].Appliance != "a1" ||
		got[0].NASIdentifier != "big-ip-1" || got[0].CallingStation != "203.0.113.7" || got[0].Reason != "session began, session s1" || !got[0].Time.Equal(time.Date(2026, 11, 30, 8, 0, 10, 0, time.UTC)) {
		t.Fatalf("%+v", got)
	}
	stop := accountingRequest(t, secret, rfc2866.AcctStatusType_Value_Stop, "s1", 2, func(p *radius.Packet) {
		_ = rfc2866.AcctSessionTime_Set(p, 3905)
		_ = rfc2866.AcctTerminateCause_Set(p, rfc2866.AcctTerminateCause_Value_UserRequest)
		_ = rfc2866.AcctInputOctets_Set(p, 5)
		_ = rfc2869.AcctInputGigawords_Set(p, 1)
		_ = rfc2866.AcctOutputOctets_Set(p, 9)
		_ = rfc2865.FramedIPAddress_Set(p, net.IPv4(10, 9, 8, 7))
	})
	checkAccounting(t, exchange(t, c, stop, soon), stop, secret)
	got := l.all()
	if want := "session ended after 1h5m5s: User-Request, 4294967301 octets from and 9 to the user, address 10.9.8.7, session s1"; len(got) != 2 || got[1].Reason != want || !got[1].Time.Equal(now.Add(-2*time.Second)) {
		t.Errorf("%+v, want %q", got[1:], want)
	}
	if st := s.Stats(); st.Accounting != 3 || st.Repeated != 3 {
		t.Errorf("%+v", st)
	}
}

func TestAccountingThatCannotBeRecordedIsNotAnswered(t *testing.T) {
	s, log, l := accountingServer(t, Options{})
	l.set(true)
	c := dialAccounting(t, s)
	request := accountingRequest(t, secret, rfc2866.AcctStatusType_Value_Start, "s1", 0)
	if a := exchange(t, c, request, hush); a != nil {
		t.Errorf("answered: %x", a)
	}
	eventually(t, "the line", func() bool { return log.count("accounting could not be kept") == 1 })
	l.set(false)
	checkAccounting(t, exchange(t, c, request, soon), request, secret)
	if got := l.all(); len(got) != 1 || s.Stats().AccountingFailed != 1 {
		t.Errorf("%+v", got)
	}
}

func TestAccountingThatCannotComeFromTheGatewayIsDropped(t *testing.T) {
	s, log, l := accountingServer(t, Options{})
	c := dialAccounting(t, s)
	good := accountingRequest(t, secret, rfc2866.AcctStatusType_Value_Start, "s1", 0)
	changed := append([]byte(nil), good...)
	changed[len(changed)-1] ^= 1
	none := radius.New(radius.CodeAccountingRequest, []byte(secret))
	for name, packet := range map[string][]byte{
		"wrong shared secret":           accountingRequest(t, "another-secret-of-22-octets", rfc2866.AcctStatusType_Value_Start, "s1", 0),
		"authenticator does not match":  changed,
		"without Acct-Status-Type":      encode(t, none),
		"a login at the port of acc":    withMAC(t, access(t, "alice", "right", secret)),
		"neither a login nor accountin": append([]byte{40, 1, 0, 20}, make([]byte, 16)...),
	} {
		if a := exchange(t, c, packet, hush); a != nil || !strings.Contains(log.String(), name) {
			t.Errorf("%s: %x; the log: %s", name, a, log)
		}
	}
	if a := exchange(t, dial(t, s, "127.0.0.1"), good, hush); a != nil || log.count("accounting at the port of logins") != 1 {
		t.Errorf("at the port of logins: %x", a)
	}
	if got := l.all(); len(got) != 0 {
		t.Errorf("recorded: %+v", got)
	}
	status := withMAC(t, radius.New(radius.CodeStatusServer, []byte(secret)))
	if a := exchange(t, c, status, soon); a == nil || radius.Code(a[0]) != radius.CodeAccountingResponse {
		t.Errorf("Status-Server: %x", a)
	}
}

func TestAccountingOverTLSAndWithTheOldSecret(t *testing.T) {
	l := &ledger{}
	v, _ := knows("right")
	w := secure(t, Options{Verifier: v, Accounting: &AccountingOptions{Address: "127.0.0.1:0", Recorder: l}}, nil)
	c := w.dialTLS(t, w.cert)
	request := accountingRequest(t, radsec, rfc2866.AcctStatusType_Value_Start, "s1", 0)
	b, err := ask(c, request)
	if err != nil {
		t.Fatal(err)
	}
	checkAccounting(t, b, request, radsec)
	login := withMAC(t, access(t, "alice", "right", radsec))
	if b, err = ask(c, login); err != nil || checkAnswer(t, b, login, radsec).Code != radius.CodeAccessAccept {
		t.Error(err)
	}
	in := gatewayAt("127.0.0.1/32")
	in.PreviousSecret, in.PreviousUntil = "the-secret-that-was-before", time.Now().Add(time.Hour)
	if err := w.SetIntegrations([]sallyport.Integration{in}); err != nil {
		t.Fatal(err)
	}
	udp := dialAccounting(t, w.Server)
	for _, k := range []string{secret, "the-secret-that-was-before"} {
		request := accountingRequest(t, k, rfc2866.AcctStatusType_Value_InterimUpdate, k, 0)
		checkAccounting(t, exchange(t, udp, request, soon), request, k)
	}
	if got := l.all(); len(got) != 3 {
		t.Errorf("%+v", got)
	}
}

func TestManyAccountsAreRecordedTogether(t *testing.T) {
	s, _, l := accountingServer(t, Options{})
	c := dialAccounting(t, s)
	const many = 100
	for i := range many {
		if _, err := c.Write(accountingRequest(t, secret, rfc2866.AcctStatusType_Value_Start, fmt.Sprint("s", i), 0)); err != nil {
			t.Fatal(err)
		}
	}
	for range many {
		if a := receive(t, c, soon); a == nil {
			t.Fatalf("%d of %d are recorded, and one has no answer", len(l.all()), many)
		}
	}
	if got := l.all(); len(got) != many {
		t.Errorf("%d recorded", len(got))
	}
}

// FreeRADIUS's radclient takes the answers for what they are.
func TestRadclientSendsAccounting(t *testing.T) {
	program, err := exec.LookPath("radclient")
	if err != nil {
		t.Fatal("radclient is needed (Debian package freeradius-utils)")
	}
	s, _, l := accountingServer(t, Options{})
	for kind, packet := range map[string]string{
		"acct":   "Acct-Status-Type = Start\nAcct-Session-Id = \"s1\"\nUser-Name = \"alice\"\nMessage-Authenticator = 0x00\n",
		"status": "Message-Authenticator = 0x00\n",
	} {
		cmd := exec.Command(program, "-x", "-r", "1", "-t", "3", s.AccountingAddr().String(), kind, secret)
		cmd.Stdin = strings.NewReader(packet)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "Received Accounting-Response") {
			t.Errorf("%s: %v\n%s", kind, err, out)
		}
	}
	if got := l.all(); len(got) != 1 || got[0].UserName != "alice" {
		t.Errorf("%+v", got)
	}
}

// FuzzAccounting: whatever a gateway tells, it is told of in words, with one key, or dropped.
func FuzzAccounting(f *testing.F) {
	c := &client{Integration: gatewayAt("127.0.0.1/32"), keys: newKeys(secret), memory: &memory{}}
	f.Add(accountingRequest(f, secret, rfc2866.AcctStatusType_Value_Start, "s1", 3))
	f.Add(accountingRequest(f, secret, rfc2866.AcctStatusType_Value_Stop, strings.Repeat("x", 253), 1<<31))
	f.Add(accountingRequest(f, secret, 15, "\xff\x00", 0))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		r, err := parse(datagram)
		if err != nil {
			return
		}
		now := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
		a, ok := accountingOf(c, &r, netip.AddrPort{}, now)
		b, _ := accountingOf(c, &r, netip.AddrPort{}, now)
		if a.Key != b.Key || a.Key == "" || a.Time.After(now) || now.Sub(a.Time) > 24*time.Hour || ok && a.Reason == "" {
			t.Errorf("%+v", a)
		}
		forged := r.clone()
		copy(forged.raw[4:headerSize], noMAC[:])
		sum := md5.Sum(append(append([]byte(nil), forged.raw...), secret...))
		copy(forged.raw[4:headerSize], sum[:])
		if c.keys.accountingKeys(&forged) == nil {
			t.Error("what is signed is refused")
		}
	})
}
