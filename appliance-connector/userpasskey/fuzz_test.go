package userpasskey_test

import (
	"context"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/userpasskey"
)

// one keeps one account's passkeys in memory.
type one struct{ list []sallyport.Passkey }

func (o *one) UserPasskeys(context.Context, sallyport.AccountName) ([]sallyport.Passkey, error) {
	return o.list, nil
}
func (o *one) AddUserPasskey(_ context.Context, p sallyport.Passkey) error {
	o.list = append(o.list, p)
	return nil
}
func (*one) UseUserPasskey(context.Context, sallyport.Passkey, time.Time) error { return nil }
func (*one) EndCopiedPasskey(context.Context, sallyport.AccountName, sallyport.PasskeyID, string, time.Time) error {
	return nil
}

// FuzzAnswer reads what a browser may send: nothing of it lets anybody in but a right answer to this question, and
// none of it is an error of ours.
func FuzzAnswer(f *testing.F) {
	keep := &one{}
	k := userpasskey.Keeper{Store: keep, Key: sallyport.Key(make([]byte, 32)), Now: func() time.Time { return start }}
	a := &authenticator{t: f, origin: page}
	offered, err := k.Offer(f.Context(), at(page, alice, 1))
	if err != nil {
		f.Fatal(err)
	}
	made := a.create(offered)
	if _, err := k.Enrol(f.Context(), at(page, alice, 1), made); err != nil {
		f.Fatal(err)
	}
	had := keep.list
	asked, err := k.Ask(f.Context(), at(page, alice, 2))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(a.get(asked))
	f.Add(made)
	f.Add([]byte(`{"id":"AA","rawId":"AA","type":"public-key","response":{}}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		// Neither is for this challenge.
		keep.list = had
		if why, err := k.Check(t.Context(), at(page, alice, 3), answer); err != nil || why == "" {
			t.Errorf("checked: %q, %v", why, err)
		}
		if name, err := k.Enrol(t.Context(), at(page, alice, 3), answer); sallyport.ErrorCode(err) != sallyport.CodeDenied {
			t.Errorf("enrolled: %q, %v", name, err)
		}
		if len(keep.list) != len(had) {
			t.Error("kept")
		}
	})
}
