// Package conformance holds what every engine of the store must do. The store's own tests run it on
// SQLite and on a real PostgreSQL; an engine that passes can be used by appliances.
package conformance

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// Engine makes databases to test on.
type Engine struct {
	// Fresh returns the address of a new, empty database that lives as long as the test.
	Fresh func(t testing.TB) string
	// Dump returns everything that the engine holds of the database at address, as raw as it can.
	Dump func(t testing.TB, address string) []byte
	// Exec runs a statement on the database at address, past the store.
	Exec func(t testing.TB, address, statement string)
	// Block makes every write to the database at address wait until release is called.
	Block func(t testing.TB, address string) (release func())
}

// conform is one thing that an engine must do.
type conform struct {
	name string
	test func(*testing.T, Engine)
}

// Run runs the suite.
func Run(t *testing.T, e Engine) {
	for _, c := range append(suite(), people()...) {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			c.test(t, e)
		})
	}
}

func suite() []conform {
	return []conform{
		{"an integration comes back as it was put", integrationComesBack},
		{"languages of before become those of integrations that there are", integrationLanguages},
		{"integrations are listed by nickname", integrationsByNickname},
		{"putting an integration again replaces all of it", integrationReplaced},
		{"nicknames and networks belong to one integration", integrationConflicts},
		{"an integration saved twice at once stays whole", integrationAtOnce},
		{"a wrong integration is refused with words", integrationRefused},
		{"an integration changed meanwhile is not overwritten", integrationVersions},
		{"secrets of an integration stay and go as they should", integrationSecrets},
		{"Message-Authenticator once seen is remembered", messageAuthenticatorSeen},
		{"unknown sources are kept within bounds", unknownSources},
		{"a device comes back as it was put, the newest first", deviceComesBack},
		{"all devices are paged", devicesPaged},
		{"a device stays with its account", deviceConflict},
		{"a wrong device is refused", deviceRefused},
		{"hostile text is kept as it is or refused", hostileText},
		{"a phone number comes back as added", phoneComesBack},
		{"a wrong phone number, one twice and one too many are refused", phoneRefused},
		{"an account has a few phone numbers, however many come at once", phonesAtOnce},
		{"a phone number follows who is renamed, and goes to nobody who takes the name", phonesFollow},
		{"a phone number edited behind the store's back is not used", phoneEdited},
		{"a user's passkey comes back as added, is used by one and ended by a copy", passkeyComesBack},
		{"a wrong passkey, one twice and one too many are refused", passkeyRefused},
		{"a passkey follows who is renamed, and goes to nobody who takes the name", passkeysFollow},
		{"a passkey edited behind the store's back is not used", passkeyEdited},
		{"OTP tokens come back as imported", otpTokensImported},
		{"OTP tokens are found and paged", otpTokensQueried},
		{"an OTP token has one owner", otpTokenOwner},
		{"an account has a few OTP tokens", otpTokensBounded},
		{"an OTP code is used once by many at once", otpCodeAtOnce},
		{"OTP codes only go forward", otpCodeForward},
		{"an OTP token is claimed by one", otpTokenClaimed},
		{"OTP tokens follow who is renamed and nobody else", otpTokensFollow},
		{"an OTP token edited behind the store's back is not used", otpTokenEdited},
		{"a PIN comes back as it was set", otpPINKept},
		{"a PIN edited behind the store's back is not used", otpPINEdited},
		{"PINs follow who is renamed and nobody else", otpPINsFollow},
		{"a login is told of OTP tokens and PINs", otpStanding},
		{"a key is claimed once by many at once", claimAtOnce},
		{"a claim lasts until it has expired and is swept in batches", claimSwept},
		{"a step of a login in RADIUS is taken once by many at once", radiusStepAtOnce},
		{"a step of a login in RADIUS has one result until it expires", radiusStepResult},
		{"a token code step is used once by many at once", stepAtOnce},
		{"token code steps only go forward", stepForward},
		{"failures are counted exactly by many at once", failuresAtOnce},
		{"failures are forgotten after their window and on reset", failuresWindow},
		{"an enrolment is taken once", enrolmentOnce},
		{"an invitation is taken once, and not after its time", inviteOnce},
		{"a setting is set and replaced", settings},
		{"what a login needs of an account comes in one read", standingInOneRead},
		{"it changes with the revision only, but for the last login", standingHasARevision},
		{"logins, decisions and RADIUS requests are written together or not at all", activityTogether},
		{"what all logins have in common comes with its revision", loginPolicies},
		{"a new device or phone number ends the account's temporary codes", enrolmentEndsTemporaryCodes},
		{"logins that nobody goes on with are abandoned", abandonedLogins},
		{"the revision grows with every change and no other call", revisions},
		{"a watcher hears of changes by another store", watched},
		{"a database is opened by many at once and again", openedAgain},
		{"a wrong master key is noticed", wrongMaster},
		{"no secret stands in the database", nothingReadable},
		{"a value moved or edited behind the store's back is not used", edited},
		{"a database of a newer program is refused", newer},
		{"a change is recorded with who made it and no secret", changesRecorded},
		{"an audit record comes back as it was appended", auditComesBack},
		{"audit records are found, the newest first", auditQueried},
		{"a search of the audit trail goes on page by page", auditSearchGoesOn},
		{"a chain of audit records stays one with many at once", auditAtOnce},
		{"tampering with the audit trail is found", auditTampered},
		{"tampering with the audit trail is not covered by what follows", auditNotLaundered},
		{"an audit trail whose oldest records were deleted verifies", auditRetained},
		{"an administrator comes back as put", administratorComesBack},
		{"a wrong administrator or an old version is refused with words", administratorConflicts},
		{"the last super administrator stays", lastSuper},
		{"an administrator's secrets are kept and not shown", administratorSecrets},
		{"role grants are set by version", roleGrants},
		{"a setup link makes one first administrator", setupOnce},
		{"a console session ends in its time", consoleSessions},
		{"an API token is found by its hash", apiTokens},
		{"nobody becomes administrator by editing the database", administrationEdited},
		{"a login comes back as recorded, with its timeline", loginComesBack},
		{"logins are found, the newest first, and counted", loginsQueried},
		{"a search of logins goes on page by page", loginsSearchGoesOn},
		{"logins and RADIUS requests are streamed", loginsStream},
		{"RADIUS requests come back as recorded", radiusActivity},
		{"the health of gateways goes forward", gatewayHealth},
		{"a message is sent by one appliance, or later", mailSent},
		{"messages are taken once by many at once", mailAtOnce},
		{"a wrong message and too many are refused", mailRefused},
		{"a message does not go to whom the database was made to say", mailEdited},
		{"a lease is held by one", leases},
		{"report schedules come back, and each report is sent once", reportSchedules},
		{"RADIUS requests are counted by gateway and outcome", radiusCounted},
		{"what an appliance tells of itself comes back", applianceReports},
		{"a removed appliance leaves nothing", applianceRemoved},
		{"the clock of the database is known where it has one", clockOfDatabase},
		{"a site comes back as it was put", siteComesBack},
		{"a wrong site is refused with words", siteRefused},
		{"an appliance belongs to one site", siteTakesAppliances},
		{"token servers come back as put", tokenServersComeBack},
		{"wrong token servers are refused with words", tokenServersRefused},
		{"the secret of a token server stays with its address", tokenSecretStays},
		{"a token server edited behind the store's back is not used", tokenServerEdited},
		{"who has a token of the servers follows user policies", tokenUsers},
		{"a new master key opens everything and the old one nothing", rekeyed},
		{"the master key is changed while others write", rekeyAtOnce},
		{"a change of the master key that fails changes nothing", rekeyFails},
		{"a call ends with its context", contextEnds},
		{"a call ends by itself when the engine is silent", silence},
	}
}

// start is the time in these tests.
var start = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// Master returns a master key for tests.
func Master() sallyport.Key { return sallyport.Key(strings.Repeat("m", 32)) }

// Open opens a store that the test closes.
func Open(t testing.TB, address string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), address, Master(), store.WithNow(func() time.Time { return start }))
	if err != nil {
		t.Fatalf("open %s: %v", address, err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// NewDevice returns a device for tests, made out of a word.
func NewDevice(word string, account sallyport.AccountName) sallyport.Device {
	sum := sha256.Sum256([]byte(word))
	return sallyport.Device{
		ID:         sallyport.DeviceID(base64.RawURLEncoding.EncodeToString(sum[:])),
		Account:    account,
		Name:       word + "'s phone",
		Platform:   "ios",
		PublicKey:  append([]byte("public key of "), sum[:]...),
		Seed:       sallyport.Key("seed-" + base64.RawURLEncoding.EncodeToString(sum[:])[:15]),
		DetailsKey: sallyport.Key("details-" + base64.RawURLEncoding.EncodeToString(sum[:])[:24]),
		Enrolled:   start,
	}
}

// NewPhone returns a phone number for tests; n makes it another one.
func NewPhone(n int, account sallyport.AccountName) sallyport.Phone {
	return sallyport.Phone{ID: sallyport.PhoneID(fmt.Sprint("p", n)), Account: account,
		Number: sallyport.PhoneNumber(fmt.Sprintf("+4477009%05d", n)), Enrolled: start}
}

// NewIntegration returns an integration for tests with the network 10.0.n.0/24.
func NewIntegration(id string, n byte) sallyport.Integration {
	return sallyport.Integration{
		ID: sallyport.IntegrationID(id), Kind: "f5-big-ip", Nickname: "VPN " + id,
		Clients:              []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, n, 0}), 24)},
		Secret:               sallyport.Secret("radius-secret-of-" + id),
		MessageAuthenticator: sallyport.MessageAuthenticatorAlways,
		Origins:              []string{"https://vpn.example.org"},
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, err error, code sallyport.Code) {
	t.Helper()
	if got := sallyport.ErrorCode(err); got != code {
		t.Fatalf("error %v has code %q, want %q", err, got, code)
	}
}

func background() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 10*time.Minute)
}

// atLeisure is the context of calls that are looked at for what they answer, not for how soon.
func atLeisure(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
