package trust

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
)

// book keeps invites in memory.
type book map[string]Invite

func (b book) Invite(_ context.Context, id string, now time.Time) (Invite, error) {
	inv, ok := b[id]
	if !ok || now.After(inv.Expires) {
		return inv, errors.New("no such join code")
	}
	return inv, nil
}

func (b book) DeleteInvite(_ context.Context, id string) (bool, error) {
	_, ok := b[id]
	delete(b, id)
	return ok, nil
}

func hosting(t *testing.T) (*Host, Invite, book) {
	t.Helper()
	ring, err := keyring.New("t1")
	check(t, err)
	inv := NewInvite(time.Now())
	b := book{inv.ID: inv}
	return &Host{Ring: ring, Invites: b, Now: time.Now, Log: slog.New(slog.DiscardHandler)}, inv, b
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestJoiningApplianceGetsTheKeysAndTheCloudSeesNone(t *testing.T) {
	h, inv, _ := hosting(t)
	joiner := &Trust{Tenant: "t1", Appliance: "a2", dir: t.TempDir()}
	var seen [][]byte
	send := func(ctx context.Context, msg []byte) ([]byte, error) {
		out, err := h.Answer(ctx, "a2", msg)
		seen = append(seen, msg, out)
		return out, err
	}
	ring, err := joiner.Join(t.Context(), inv.Code, send)
	check(t, err)
	kept, err := keyring.Load(joiner.dir)
	check(t, err)
	for _, r := range []*keyring.Ring{ring, kept} {
		if r.Fingerprint() != h.Ring.Fingerprint() || !bytes.Equal(r.Derive("x"), h.Ring.Derive("x")) {
			t.Error("the joined appliance has other keys")
		}
	}
	secret := h.Ring.Derive("store")
	for _, m := range seen {
		if bytes.Contains(m, []byte(inv.Code)) || bytes.Contains(m, secret) || len(m) == 0 {
			t.Error("the cloud could read the exchange")
		}
	}
	if _, err := joiner.Join(t.Context(), inv.Code, send); sallyport.ErrorCode(err) != sallyport.CodeDenied {
		t.Errorf("a join code was taken twice: %v", err)
	}
}

func TestJoinNeedsTheCodeTheEnterpriseAndTheTime(t *testing.T) {
	h, inv, b := hosting(t)
	host := func(ctx context.Context, msg []byte) ([]byte, error) { return h.Answer(ctx, "a2", msg) }
	for name, c := range map[string]struct {
		joiner *Trust
		code   sallyport.Secret
		send   func(context.Context, []byte) ([]byte, error)
	}{
		"wrong code":         {&Trust{Tenant: "t1", Appliance: "a2"}, sallyport.NewCode(inviteGroups), host},
		"another enterprise": {&Trust{Tenant: "t2", Appliance: "a2"}, inv.Code, host},
		"moved to another appliance by the cloud": {&Trust{Tenant: "t1", Appliance: "a2"}, inv.Code, func(ctx context.Context, msg []byte) ([]byte, error) {
			return h.Answer(ctx, "rogue", msg)
		}},
		"key changed by the cloud": {&Trust{Tenant: "t1", Appliance: "a2"}, inv.Code, func(ctx context.Context, msg []byte) ([]byte, error) {
			var r joinRequest
			check(t, json.Unmarshal(msg, &r))
			r.Key[5] ^= 1
			out, err := json.Marshal(r)
			check(t, err)
			return h.Answer(ctx, "a2", out)
		}},
		"keys of the cloud's own making": {&Trust{Tenant: "t1", Appliance: "a2"}, inv.Code, func(context.Context, []byte) ([]byte, error) {
			own, err := keyring.New("t1")
			check(t, err)
			box, err := own.Seal(make([]byte, 32), joinAAD("t1", "a2"))
			check(t, err)
			return json.Marshal(joinAnswer{Key: make([]byte, 65), Box: box})
		}},
		"rubbish": {&Trust{Tenant: "t1", Appliance: "a2"}, inv.Code, func(context.Context, []byte) ([]byte, error) { return []byte("{"), nil }},
	} {
		c.joiner.dir = t.TempDir()
		if _, err := c.joiner.Join(t.Context(), c.code, c.send); err == nil {
			t.Errorf("%s: keys were given", name)
		}
		if _, err := keyring.Load(c.joiner.dir); err == nil {
			t.Errorf("%s: keys were kept", name)
		}
	}
	h.Now = func() time.Time { return time.Now().Add(InviteLife + time.Minute) }
	if _, err := (&Trust{Tenant: "t1", Appliance: "a2", dir: t.TempDir()}).Join(t.Context(), inv.Code, host); err == nil {
		t.Error("a join code was taken late")
	}
	if len(b) != 1 {
		t.Error("a wrong attempt used the code up")
	}
}

func TestCodeIsTakenAsPeopleTypeIt(t *testing.T) {
	h, inv, _ := hosting(t)
	typed := sallyport.Secret(" " + string(bytes.ToLower(bytes.ReplaceAll([]byte(inv.Code), []byte("-"), []byte(" ")))))
	_, err := (&Trust{Tenant: "t1", Appliance: "a2", dir: t.TempDir()}).Join(t.Context(), typed,
		func(ctx context.Context, msg []byte) ([]byte, error) { return h.Answer(ctx, "a2", msg) })
	check(t, err)
}

func FuzzAnswer(f *testing.F) {
	ring, err := keyring.New("t1")
	if err != nil {
		f.Fatal(err)
	}
	inv := NewInvite(time.Now())
	h := &Host{Ring: ring, Invites: book{inv.ID: inv}, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	f.Add([]byte(`{"invite":"` + inv.ID + `","key":"AAAA","mac":"AAAA"}`))
	f.Fuzz(func(t *testing.T, msg []byte) {
		if out, err := h.Answer(t.Context(), "a2", msg); err == nil {
			t.Errorf("keys were given for rubbish: %d octets", len(out))
		}
	})
}
