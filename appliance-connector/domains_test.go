package appliance_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sallyport/sallyport"
	appliance "github.com/sallyport/sallyport/appliance-connector"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/test/harness"
)

func TestGroupsOfSynchronisedUsersAreNestedAndThoseOfOthersDirect(t *testing.T) {
	t.Parallel()
	dc := harness.StartSamba(t)
	pem, err := os.ReadFile(dc.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "s.db"), make(sallyport.Key, 32))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	d, err := db.PutDomain(t.Context(), sallyport.Domain{Name: harness.UPNSuffix, NetBIOS: harness.SambaDomain, Servers: []string{dc.URL()},
		Authority: string(pem), BindName: harness.ServiceDN, BindPassword: harness.ServicePass})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	dir, err := appliance.OpenDirectory(t.Context(), db, 0, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dir.Close)
	groups := appliance.AccountGroups{Store: db, Directory: dir}
	nested := func() bool {
		list, err := groups.Groups(t.Context(), `hospital\alice`)
		if err != nil || !slices.Contains(list, harness.NursesDN) {
			t.Errorf("%q, %v", list, err)
		}
		return slices.Contains(list, harness.RemoteAccessDN)
	}
	if nested() {
		t.Error("nested groups of somebody who is not in the list")
	}
	y, err := appliance.NewSynchroniser(db, dir, "one", log).Synchronise(t.Context(), d.ID, sallyport.SynchroniseFull, sallyport.Actor{Name: "ann"})
	if err != nil || y.State != sallyport.SynchronisationDone {
		t.Fatalf("%+v, %v", y, err)
	}
	if !nested() {
		t.Error("no nested groups of somebody who is in the list")
	}
	if _, err := groups.Groups(t.Context(), `hospital\nobody`); sallyport.ErrorCode(err) != sallyport.CodeNotFound {
		t.Errorf("groups of nobody: %v", err)
	}
}
