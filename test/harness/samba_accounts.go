package harness

import (
	"encoding/base64"
	"encoding/binary"
	"unicode/utf16"
)

// The domain that StartSamba serves.
const (
	SambaRealm    = "HOSPITAL.TEST"
	SambaDomain   = "HOSPITAL" // the NetBIOS name
	SambaBaseDN   = "DC=hospital,DC=test"
	SambaStaffDN  = "OU=Staff," + SambaBaseDN
	UPNSuffix     = "hospital.test"
	AltUPNSuffix  = "hospital.example"
	UserPassword  = "Passw0rd.1" // of every user
	ServiceDN     = "CN=svc Test," + SambaStaffDN
	ServicePass   = "Passw0rd.Svc1"
	AdminPassword = "Passw0rd.Admin1" // of Administrator
	adminUPN      = "Administrator@" + UPNSuffix
)

// The users, one for each state an account can be in. alice, bob and carol may log
// in; carol's UPN has the alternative suffix and her DN a comma.
const (
	Alice       = "alice"
	Bob         = "bob"
	Carol       = "carol"
	Disabled    = "disabled"
	MustChange  = "mustchange"
	ExpiredPw   = "expiredpw"
	AcctExpired = "acctexpired"
	Locked      = "locked" // until somebody unlocks it
	Hours       = "hours"
	Workstation = "wks"
)

// CarolUPN is carol's log-in name under the alternative suffix.
const CarolUPN = "Carol.Jones@" + AltUPNSuffix

// The groups: alice is in Nurses, Nurses in Clinicians, Clinicians and bob in Remote
// Access; carol is in none.
const (
	NursesDN       = "CN=Nurses," + SambaStaffDN
	CliniciansDN   = "CN=Clinicians," + SambaStaffDN
	RemoteAccessDN = "CN=Remote Access," + SambaStaffDN
)

// userAccountControl, MS-ADTS section 2.2.16.
const (
	normalAccount   = 0x200
	accountDisabled = 0x2
	noExpiry        = 0x10000 // DONT_EXPIRE_PASSWORD: the provisioned domain is kept for months
)

type sambaUser struct {
	Name, DN, UPN, Display, Password string
	Control                          int
}

type sambaGroup struct {
	Name, DN string
	Members  []string
}

type sambaAccounts struct {
	BaseDN string
	Users  []sambaUser
	Groups []sambaGroup
}

func userDN(name string) string {
	if name == Carol {
		return `CN=Jones\, Carol,` + SambaStaffDN
	}
	return "CN=" + name + " Test," + SambaStaffDN
}

func accounts() sambaAccounts {
	a := sambaAccounts{BaseDN: SambaBaseDN}
	add := func(name, password string, control int) {
		a.Users = append(a.Users, sambaUser{Name: name, DN: userDN(name), UPN: name + "@" + UPNSuffix,
			Display: name + " Test", Control: control, Password: unicodePwd(password)})
	}
	for _, name := range []string{Alice, Bob, Carol, Locked, Hours, Workstation, AcctExpired} {
		add(name, UserPassword, normalAccount|noExpiry)
	}
	for _, name := range []string{MustChange, ExpiredPw} {
		add(name, UserPassword, normalAccount)
	}
	add(Disabled, UserPassword, normalAccount|noExpiry|accountDisabled)
	add("svc", ServicePass, normalAccount|noExpiry)
	for i := range a.Users {
		if a.Users[i].Name == Carol {
			a.Users[i].UPN, a.Users[i].Display = CarolUPN, "Carol Jones"
		}
	}
	a.Groups = []sambaGroup{
		{"Nurses", NursesDN, []string{userDN(Alice)}},
		{"Clinicians", CliniciansDN, []string{NursesDN}},
		{"Remote Access", RemoteAccessDN, []string{CliniciansDN, userDN(Bob)}},
	}
	return a
}

// unicodePwd encodes a password as the attribute of that name wants it (MS-ADTS
// section 3.1.1.3.1.5): quoted, UTF-16LE; and in base64, as LDIF wants binary values.
func unicodePwd(password string) string {
	return base64.StdEncoding.EncodeToString(quotedUTF16(password))
}

func quotedUTF16(password string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(`"` + password + `"`)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}
