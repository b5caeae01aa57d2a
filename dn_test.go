package sallyport

import (
	"strings"
	"testing"
)

func TestBelowDNComparesAsADirectoryDoes(t *testing.T) {
	t.Parallel()
	const staff = "OU=Staff,DC=hospital,DC=test"
	for dn, want := range map[string]bool{
		"CN=alice,OU=Staff,DC=hospital,DC=test":         true,
		"cn=alice,ou=STAFF,dc=Hospital,dc=TEST":         true,
		"CN=a,OU=Nurses,OU=Staff,DC=hospital,DC=test":   true,
		`CN=Jones\, Carol,OU=Staff,DC=hospital,DC=test`: true,
		"CN=alice, OU = Staff , DC=hospital,DC=test":    true,
		`CN=alice,OU=St\61ff,DC=hospital,DC=test`:       true,
		staff:                                    true,
		"CN=alice,DC=hospital,DC=test":           false,
		"DC=hospital,DC=test":                    false,
		"CN=alice,OU=XStaff,DC=hospital,DC=test": false,
		`CN=Evil\,OU=Staff,DC=hospital,DC=test`:  false, // a comma in a name ends nothing
		`CN=Evil\2COU=Staff,DC=hospital,DC=test`: false,
		`CN=Evil\\,OU=Staff,DC=hospital,DC=test`: true, // an escaped backslash escapes nothing
		"":                                       false,
	} {
		if got := BelowDN(dn, staff); got != want {
			t.Errorf("%q below %q: %v, want %v", dn, staff, got, want)
		}
	}
	if BelowDN(staff, "") || BelowDN("", "") {
		t.Error("something is below nothing")
	}
	if !SameDN(staff, strings.ToLower(staff)) || SameDN(staff, "CN=x,"+staff) || SameDN("", "") {
		t.Error("SameDN")
	}
}

func FuzzBelowDN(f *testing.F) {
	f.Add(`CN=Jones\, Carol,OU=Staff,DC=x`, "OU=Staff,DC=x")
	f.Add(`\`, `\,`)
	f.Add(`a\2`, ",")
	f.Fuzz(func(t *testing.T, dn, ancestor string) {
		if !BelowDN(dn, ancestor) {
			return
		}
		if len(splitDN(ancestor)) == 0 || len(splitDN(ancestor)) > len(splitDN(dn)) {
			t.Errorf("%q is not below %q", dn, ancestor)
		}
		if !BelowDN("CN=x,"+dn, ancestor) {
			t.Errorf("what is below %q is not below %q", dn, ancestor)
		}
	})
}

func TestADNBelongsToTheNearestDomain(t *testing.T) {
	t.Parallel()
	names := map[DomainID]string{"parent": "hospital.example", "child": "ward.hospital.example", "other": "clinic.example"}
	for dn, want := range map[string]DomainID{
		"CN=Nurses,OU=Groups,DC=hospital,DC=example":         "parent",
		"cn=nurses, ou=groups, dc=HOSPITAL, dc=example":      "parent",
		"OU=Night,DC=ward,DC=hospital,DC=example":            "child",
		"DC=clinic,DC=example":                               "other",
		"OU=Staff,DC=myhospital,DC=example":                  "",
		"CN=a\\,DC=hospital\\,DC=example,DC=else,DC=example": "",
		"": "",
	} {
		if got := DomainOf(dn, names); got != want {
			t.Errorf("%q is of %q, not %q", dn, got, want)
		}
	}
}
