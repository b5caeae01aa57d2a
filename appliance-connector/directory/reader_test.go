package directory_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/directory"
	"github.com/sallyport/sallyport/test/harness"
	"github.com/sallyport/sallyport/test/ldapsim"
)

// read calls f with a reader of the first domain.
func read(t *testing.T, d *directory.Directory, f func(*directory.Reader) error) {
	t.Helper()
	if err := d.Read(t.Context(), "hospital", f); err != nil {
		t.Fatal(err)
	}
}

func users(t *testing.T, run func(func(sallyport.User) error) error) map[sallyport.AccountName]sallyport.User {
	t.Helper()
	all := map[sallyport.AccountName]sallyport.User{}
	if err := run(func(u sallyport.User) error {
		if _, twice := all[u.Account]; twice {
			t.Errorf("%s comes twice", u.Account)
		}
		all[u.Account] = u
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestReadingADomain(t *testing.T) {
	t.Parallel()
	dc, f := samba(t)
	d := f.open(t, func(c *config) { c.Base = harness.SambaStaffDN })
	var all map[sallyport.AccountName]sallyport.User
	var invocation string
	var usn int64
	read(t, d, func(r *directory.Reader) (err error) {
		if invocation, usn, err = r.Position(t.Context()); err != nil {
			return err
		}
		all = users(t, func(each func(sallyport.User) error) error { return r.Users(t.Context(), each) })
		present := 0
		if err := r.Present(t.Context(), func(guid, dn string) error {
			present++
			if !slices.ContainsFunc(slices.Collect(valuesOf(all)), func(u sallyport.User) bool { return u.GUID == guid && u.DN == dn }) {
				t.Errorf("%s is present and was not read", dn)
			}
			return nil
		}); err != nil {
			return err
		}
		if present != len(all) {
			t.Errorf("%d present, %d read", present, len(all))
		}
		return nil
	})
	if len(invocation) != 32 || usn == 0 {
		t.Errorf("position %q %d", invocation, usn)
	}
	carol := all[`hospital\carol`]
	if carol.UPN != harness.CarolUPN || carol.DisplayName != "Carol Jones" || carol.Mail != "carol@hospital.test" || carol.State != sallyport.UserActive ||
		carol.Domain != "hospital" || len(carol.GUID) != 32 || !sallyport.BelowDN(carol.DN, harness.SambaStaffDN) {
		t.Errorf("carol: %+v", carol)
	}
	if all[`hospital\disabled`].State != sallyport.UserDisabled || len(all) != 11 {
		t.Errorf("%d users, disabled is %q", len(all), all[`hospital\disabled`].State)
	}
	for _, name := range []sallyport.AccountName{`hospital\administrator`, `hospital\krbtgt`, `hospital\dc1$`} {
		if _, there := all[name]; there {
			t.Errorf("%s is below the base", name)
		}
	}
	// What changed: a new user, somebody who moved out of the base, and somebody who is gone.
	dc.AddUser("newcomer", "Passw0rd.1")
	dc.Admin(func(c *ldap.Conn) error {
		if err := c.ModifyDN(ldap.NewModifyDNRequest("CN=wks Test,"+harness.SambaStaffDN, "CN=wks Test", true, "CN=Users,"+harness.SambaBaseDN)); err != nil {
			return err
		}
		return c.Del(ldap.NewDelRequest("CN=hours Test,"+harness.SambaStaffDN, nil))
	})
	read(t, d, func(r *directory.Reader) error {
		changed := users(t, func(each func(sallyport.User) error) error { return r.ChangedUsers(t.Context(), usn, each) })
		delete(changed, `hospital\administrator`) // who changed them, and logged in for that
		if _, new := changed[`hospital\newcomer`]; !new || sallyport.BelowDN(changed[`hospital\wks`].DN, harness.SambaStaffDN) || len(changed) != 2 {
			t.Errorf("changed: %+v", changed)
		}
		again, now, err := r.Position(t.Context())
		if err != nil || again != invocation || now <= usn {
			t.Errorf("position %q %d, %v", again, now, err)
		}
		byGUID := users(t, func(each func(sallyport.User) error) error {
			return r.UsersByGUID(t.Context(), []string{carol.GUID, all[`hospital\wks`].GUID, strings.Repeat("0", 32)}, each)
		})
		if len(byGUID) != 1 || byGUID[`hospital\carol`].GUID != carol.GUID {
			t.Errorf("by GUID: %+v", byGUID)
		}
		return nil
	})
	// Whoever may see deleted users sees all of them.
	for who, password := range map[string]sallyport.Secret{"Administrator@hospital.test": harness.AdminPassword, harness.ServiceDN: harness.ServicePass} {
		as := f.open(t, func(c *config) { c.BindName, c.BindPassword = who, password })
		read(t, as, func(r *directory.Reader) error {
			var gone []string
			visible, err := r.Deleted(t.Context(), usn, func(guid string) error { gone = append(gone, guid); return nil })
			if err != nil || visible != slices.Equal(gone, []string{all[`hospital\hours`].GUID}) || !visible && password == harness.AdminPassword {
				t.Errorf("%s sees deleted users %v: %q, %v", who, visible, gone, err)
			}
			return nil
		})
	}
}

func valuesOf[K comparable, V any](m map[K]V) func(func(V) bool) {
	return func(yield func(V) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

func TestMembersAreThoseByWhateverWay(t *testing.T) {
	t.Parallel()
	dc, f := samba(t)
	d := f.open(t, nil)
	dc.Admin(func(c *ldap.Conn) error { // groups in a circle end all the same
		r := ldap.NewModifyRequest(harness.NursesDN, nil)
		r.Add("member", []string{harness.RemoteAccessDN})
		return c.Modify(r)
	})
	byGUID := map[string]string{}
	read(t, d, func(r *directory.Reader) error {
		return r.Users(t.Context(), func(u sallyport.User) error { byGUID[u.GUID] = u.Account.User(); return nil })
	})
	for group, want := range map[string]string{
		harness.RemoteAccessDN: "alice bob", harness.NursesDN: "alice bob", "CN=Domain Users,CN=Users," + harness.SambaBaseDN: "many", "CN=gone," + harness.SambaBaseDN: "none",
	} {
		var names []string
		var found bool
		read(t, d, func(r *directory.Reader) (err error) {
			found, err = r.Members(t.Context(), group, func(guid string) error { names = append(names, byGUID[guid]); return nil })
			return err
		})
		slices.Sort(names)
		switch got := strings.Join(slices.Compact(names), " "); want {
		case "none":
			if found || got != "" {
				t.Errorf("%s: %v %s", group, found, got)
			}
		case "many": // by their primary group
			if !strings.Contains(got, "alice") || !strings.Contains(got, "carol") {
				t.Errorf("%s: %s", group, got)
			}
		default:
			if !found || got != want {
				t.Errorf("%s: %s, want %s", group, got, want)
			}
		}
	}
}

func TestLargeDomainsAreReadByPagesAndRanges(t *testing.T) {
	t.Parallel()
	cfg := ldapsim.Config{NetBIOS: harness.SambaDomain, DNSName: harness.UPNSuffix, Now: time.Now, Users: []ldapsim.User{{Name: "svc", Password: "svc password"}, {Name: "popular", Password: "x"}}}
	everybody := ldapsim.Group{Name: "Everybody"}
	for i := range 1600 {
		cfg.Users = append(cfg.Users, ldapsim.User{Name: fmt.Sprint("u", i), OU: "Staff"})
		everybody.Members = append(everybody.Members, fmt.Sprint("u", i))
	}
	cfg.Groups = []ldapsim.Group{everybody}
	for i := range 1550 {
		cfg.Groups = append(cfg.Groups, ldapsim.Group{Name: fmt.Sprint("g", i), OU: "Groups", Members: []string{"popular"}})
	}
	d := serve(t, cfg).open(t, nil)
	read(t, d, func(r *directory.Reader) error {
		if all := users(t, func(each func(sallyport.User) error) error { return r.Users(t.Context(), each) }); len(all) != 1602 {
			t.Errorf("%d users", len(all))
		}
		members := 0
		if _, err := r.Members(t.Context(), "CN=Everybody,CN=Users,"+harness.SambaBaseDN, func(string) error { members++; return nil }); err != nil || members != 1600 {
			t.Errorf("%d members, %v", members, err)
		}
		return nil
	})
	a, err := d.LookUp(t.Context(), "popular")
	if err != nil {
		t.Fatal(err)
	}
	for _, nested := range []bool{false, true} {
		if groups, err := d.Groups(t.Context(), a.Domain, a.DN, nested); err != nil || len(groups) != 1551 { // and Domain Users
			t.Errorf("nested %v: %d groups, %v", nested, len(groups), err)
		}
	}
	if list, more, err := d.Tree(t.Context(), "hospital", "OU=Groups,"+harness.SambaBaseDN); err != nil || more || len(list) != 1550 {
		t.Errorf("%d branches, %v, %v", len(list), more, err)
	}
	enough := errors.New("enough")
	if err := d.Read(t.Context(), "hospital", func(r *directory.Reader) error {
		return r.Users(t.Context(), func(sallyport.User) error { return enough })
	}); !errors.Is(err, enough) {
		t.Errorf("ended early: %v", err)
	}
	if res := verify(t, d, "popular", "x"); res.State != sallyport.AccountOK {
		t.Errorf("after that: %q", res.State)
	}
}
