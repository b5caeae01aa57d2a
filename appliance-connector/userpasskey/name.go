package userpasskey

import (
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport/sallyport"
)

// model names what keeps a passkey, by the AAGUID that it gives itself. Nobody vouches for it: it serves to
// tell passkeys apart. From the community's list (github.com/passkeydeveloper/passkey-authenticator-aaguids).
func model(aaguid []byte) string {
	switch hex.EncodeToString(aaguid) {
	case "bada5566a7aa401fbd9645619a55120d":
		return "1Password"
	case "fbfc3007154e4ecc8c0b6e020557d7bd":
		return "Apple Passwords"
	case "d548826e79b4db40a3d811116f7e8349":
		return "Bitwarden"
	case "adce000235bcc60a648b0b25f1f05503":
		return "Chrome on Mac"
	case "531126d6e717415c93203d9aa6981239":
		return "Dashlane"
	case "f38095407f1449c1a8b38f813b225541":
		return "Enpass"
	case "ea9b8d664d011d213ce4b6b48cb575d4":
		return "Google Password Manager"
	case "fdb141b25d84443e8a354698c205a502":
		return "KeePassXC"
	case "0ea242b443c44a1b8b17dd6d0b6baec6":
		return "Keeper"
	case "b78a0a556ef8d246a042ba0f6d55050c":
		return "LastPass"
	case "d345266801fd4c12926c83a4204853aa":
		return "Microsoft Password Manager"
	case "b84e404815dc4dd08640f4f60813c8af":
		return "NordPass"
	case "50726f746f6e5061737350726f746f6e":
		return "Proton Pass"
	case "53414d53554e47000000000000000000":
		return "Samsung Pass"
	case "08987058cadc4b81b6e130de50dcbe96", "9ddd1817af5a4672a2b93e3dd95000a9", "6028b017b1d44c02b4b3afcdafc96bb2":
		return "Windows Hello"
	case "dd4ec289e01d41c9bb8970fa845d4bf2":
		return "iCloud Keychain (Managed)"
	}
	return ""
}

// nameOf is what a passkey is called, as far as its authenticator tells.
func nameOf(c webauthn.Credential) string {
	if name := model(c.Authenticator.AAGUID); name != "" {
		return name
	}
	has := func(t ...protocol.AuthenticatorTransport) bool {
		return slices.ContainsFunc(t, func(t protocol.AuthenticatorTransport) bool { return slices.Contains(c.Transport, t) })
	}
	switch {
	case has(protocol.USB, protocol.NFC, protocol.BLE, protocol.SmartCard):
		return "Security key"
	case has(protocol.Hybrid) && c.Authenticator.Attachment == protocol.CrossPlatform:
		return "Phone or tablet"
	case c.Flags.BackupEligible:
		return "Synchronised passkey"
	case has(protocol.Internal) || c.Authenticator.Attachment == protocol.Platform:
		return "Passkey of this device"
	}
	return "Passkey"
}

// numbered makes a name another one than those of the account's passkeys.
func numbered(name string, all []sallyport.Passkey) string {
	taken := func(name string) bool {
		return slices.ContainsFunc(all, func(p sallyport.Passkey) bool { return p.Name == name })
	}
	for n, first := 2, name; taken(name); n++ {
		name = fmt.Sprintf("%s %d", first, n)
	}
	return name
}
