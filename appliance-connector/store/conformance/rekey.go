package conformance

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func newMaster() sallyport.Key { return sallyport.Key(strings.Repeat("n", 32)) }

func rekeyed(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, other, ctx := Open(t, address), Open(t, address), t.Context()
	i := NewIntegration("a", 1)
	i.PreviousSecret, i.PreviousUntil = "secret-before", start.Add(time.Hour)
	i.TLS.Fingerprints = []string{strings.Repeat("0a", 32)}
	must(t, putIntegration(ctx, s, i))
	for n := range 1100 { // more than a page
		must(t, s.PutEnrolment(ctx, store.Enrolment{ID: sallyport.EnrolmentID(fmt.Sprint("e", n)), Account: alice, Secret: Master(), Created: start, Expires: start.Add(time.Hour)}))
	}
	must(t, s.PutDevice(ctx, NewDevice("phone", alice)))
	must(t, s.AddPhone(ctx, NewPhone(1, alice)))
	must(t, s.AddUserPasskey(ctx, NewPasskey(1, alice)))
	must(t, s.PutInvite(ctx, store.Invite{ID: "i1", Secret: "JOIN-CODE", Created: start, Expires: start.Add(time.Hour)}))
	must(t, s.PutSetupLink(ctx, [32]byte{7}, start.Add(time.Hour)))
	fillAdministration(t, s)
	_, err := s.PutDomain(ctx, sallyport.Domain{ID: "d1", Name: "hospital.example", NetBIOS: "HOSPITAL", Servers: []string{"ldaps://dc1.hospital.example"},
		BindName: "svc@hospital.example", BindPassword: "bind-password"})
	must(t, err)
	must(t, s.IssueTemporaryCode(ctx, sallyport.TemporaryCode{ID: "t1", Account: alice, Issued: start, Expires: start.Add(time.Hour), By: "Helen Desk"}, "23456789"))
	must(t, s.SetSealedSection(ctx, "mail-password", "smtp-password", 0))
	must(t, s.QueueMail(ctx, newMail("m1")))
	must(t, second(s.PutTokenServers(ctx, NewTokenServers("token-server-secret"))))
	_, err = s.AssignOTPToken(ctx, importTokens(t, s, NewOTPToken("FT-1"))["FT-1"].ID, 1, alice)
	must(t, err)
	must(t, s.SetOTPPIN(ctx, NewOTPPIN(alice)))
	before, err := s.Revision(ctx)
	must(t, err)
	wantCode(t, s.Rekey(ctx, Master()[:31]), sallyport.CodeInvalid)
	must(t, s.As(helpDesk).Rekey(ctx, newMaster()))
	if after, err := s.Revision(ctx); err != nil || after <= before {
		t.Errorf("the revision went from %d to %d, %v", before, after, err)
	}
	readsAll(t, s)
	wantDenied := func(what string, err error) {
		t.Helper()
		if sallyport.ErrorCode(err) != sallyport.CodeDenied || !strings.Contains(sallyport.ErrorMessage(err), "master key") {
			t.Errorf("%s under the old key: %v", what, err)
		}
	}
	_, err = other.Integrations(ctx)
	wantDenied("read", err)
	wantDenied("write", other.PutDevice(ctx, NewDevice("tablet", alice)))
	wantDenied("write without a revision", other.PutEnrolment(ctx, store.Enrolment{ID: "late", Account: alice, Secret: Master(), Created: start, Expires: start.Add(time.Hour)}))
	wantDenied("another rekey", other.Rekey(ctx, Master()))
	_, err = store.Open(ctx, address, Master())
	wantDenied("open", err)
	fresh := open(t, address, newMaster())
	readsAll(t, fresh)
	must(t, s.PutDevice(ctx, NewDevice("tablet", bob))) // alice's would end her temporary code
	if list, err := fresh.Devices(ctx, bob); err != nil || len(list) != 1 {
		t.Errorf("devices: %d, %v", len(list), err)
	}
	page, err := s.AuditRecords(ctx, store.AuditQuery{Action: "master key.change"})
	if err != nil || len(page.Records) != 1 || page.Records[0].Actor.Name != "Helen Desk" {
		t.Errorf("the record of it: %+v, %v", page.Records, err)
	}
	must(t, s.Rekey(ctx, newMaster())) // the same master key, another salt
	readsAll(t, s)
	readsAll(t, open(t, address, newMaster()))
	if found, err := s.VerifyAudit(ctx, nil); err != nil || found != nil {
		t.Errorf("the audit trail: %+v, %v", found, err)
	}
}

// readsAll reads every secret that rekeyed puts.
func readsAll(t *testing.T, s *store.Store) {
	t.Helper()
	ctx := t.Context()
	i, err := s.Integration(ctx, "a")
	must(t, err)
	d, err := s.Device(ctx, NewDevice("phone", alice).ID)
	must(t, err)
	enrolment, err := s.Enrolment(ctx, "e1099")
	must(t, err)
	invites, err := s.Invites(ctx, start)
	must(t, err)
	hash, err := s.PasswordHash(ctx, "b")
	must(t, err)
	seed, err := s.TOTP(ctx, "b")
	must(t, err)
	keys, err := s.Passkeys(ctx, "b")
	must(t, err)
	session, err := s.ConsoleSession(ctx, [32]byte{1}, start)
	must(t, err)
	grants, _, err := s.RoleGrants(ctx)
	must(t, err)
	_, err = s.APITokenByHash(ctx, [32]byte{1})
	must(t, err)
	domain, err := s.Domain(ctx, "d1")
	must(t, err)
	_, code, err := s.MatchTemporaryCode(ctx, alice, "23456789", start)
	must(t, err)
	section, _, err := s.SealedSection(ctx, "mail-password")
	must(t, err)
	servers, err := s.TokenServers(ctx)
	must(t, err)
	message, _, err := s.LeaseMail(ctx, "a1", start, start)
	must(t, err)
	tokens, err := s.OTPTokensOf(ctx, alice)
	must(t, err)
	phones, err := s.Phones(ctx, alice)
	must(t, err)
	passkeys, err := s.UserPasskeys(ctx, alice)
	must(t, err)
	pin, err := s.OTPPIN(ctx, alice)
	must(t, err)
	for name, equal := range map[string]bool{
		"phone number":   len(phones) == 1 && phones[0] == NewPhone(1, alice),
		"user's passkey": len(passkeys) == 1 && string(passkeys[0].Kept) == string(NewPasskey(1, alice).Kept),
		"PIN":            pin != nil && pin.Hash == NewOTPPIN(alice).Hash,
		"token server":   servers.Servers[0].Secret == "token-server-secret",
		"message":        message.Text == newMail("m1").Text,
		"TLS settings":   len(i.TLS.Fingerprints) == 1,
		"integration":    i.Secret == NewIntegration("a", 1).Secret && i.PreviousSecret == "secret-before", "device": bytes.Equal(d.Seed, NewDevice("phone", alice).Seed) && bytes.Equal(d.DetailsKey, NewDevice("phone", alice).DetailsKey),
		"enrolment": bytes.Equal(enrolment.Secret, Master()), "invitation": invites[0].Secret == "JOIN-CODE", "password": hash == "hash-of-b",
		"seed": string(seed) == "seed-of-b", "passkey": string(keys[0].Kept) == `{"counter":1}`, "session": string(session.CSRF) == "csrf-secret-of-a-session",
		"role grants": grants[0].Group == "CN=x", "domain": domain.BindPassword == "bind-password", "temporary code": code, "OTP token": len(tokens) == 1 && bytes.Equal(tokens[0].Seed, NewOTPToken("FT-1").Seed), "section": section == "smtp-password",
	} {
		if !equal {
			t.Errorf("the %s came back as another", name)
		}
	}
}

// rekeyAtOnce changes the master key while another store of the database writes and this one reads and
// writes: everything that was said to be written can be read under the new key.
func rekeyAtOnce(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, other := Open(t, address), Open(t, address)
	ctx, cancel := background()
	defer cancel()
	must(t, s.PutDevice(ctx, NewDevice("phone", alice)))
	var mu sync.Mutex
	var written []sallyport.EnrolmentID
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for g, writer := range []*store.Store{s, s, other, other} {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				id := sallyport.EnrolmentID(fmt.Sprintf("e-%d-%d", g, n))
				err := writer.PutEnrolment(ctx, store.Enrolment{ID: id, Account: alice, Secret: Master(), Created: start, Expires: start.Add(time.Hour)})
				switch {
				case err == nil:
					mu.Lock()
					written = append(written, id)
					mu.Unlock()
				case sallyport.ErrorCode(err) == sallyport.CodeDenied && writer == other:
					return
				case sallyport.ErrorCode(err) != sallyport.CodeUnavailable:
					t.Errorf("write: %v", err)
				}
				if _, err := s.Devices(ctx, alice); err != nil && sallyport.ErrorCode(err) != sallyport.CodeUnavailable {
					t.Errorf("read: %v", err)
				}
			}
		})
	}
	for range 3 {
		must(t, s.Rekey(ctx, newMaster()))
	}
	close(stop)
	wg.Wait()
	fresh := open(t, address, newMaster())
	for _, id := range written {
		if _, err := fresh.Enrolment(ctx, id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// rekeyFails leaves everything as it was when one secret was changed from outside.
func rekeyFails(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s, ctx := Open(t, address), t.Context()
	must(t, s.PutDevice(ctx, NewDevice("phone", alice)))
	must(t, putIntegration(ctx, s, NewIntegration("a", 1)))
	must(t, putIntegration(ctx, s, NewIntegration("b", 2)))
	e.Exec(t, address, `UPDATE integrations SET sealed_secret = (SELECT sealed_secret FROM integrations WHERE id = 'b') WHERE id = 'a'`)
	wantCode(t, s.Rekey(ctx, newMaster()), sallyport.CodeInternal)
	_, err := store.Open(ctx, address, newMaster())
	wantCode(t, err, sallyport.CodeDenied)
	for _, s := range []*store.Store{s, Open(t, address)} {
		if _, err := s.Devices(ctx, alice); err != nil {
			t.Errorf("after a rekey that failed: %v", err)
		}
	}
	must(t, s.DeleteIntegration(ctx, "a", 0)) // what cannot be read can be deleted
	must(t, s.Rekey(ctx, newMaster()))
}
