package independent_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	appliance "github.com/sallyport/sallyport/appliance-connector"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/trust"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/internal/sealed"
)

// vectors are the values of docs/protocol/vectors.json. The Python clients made them; here the
// product's own code must agree.
type vectors struct {
	Fields []struct {
		Parts  []string
		Octets b64
	}
	Browser struct {
		AccessToken string
		Keys        struct {
			Text, TenantID, Fingerprint string
			Statement, Signature        b64
		}
		Credentials struct {
			RecipientPrivate, AAD, Enc, Ciphertext, Down, Up        b64
			LoginID, IntegrationID, UserName, Origin, KID, Password string
			IAT                                                     int64
		}
		View    boxVector
		Message boxVector
	}
	Device deviceVector
	Join   struct {
		Code, TenantID, ApplianceID, Message string
		Private                              b64
	}
}

type boxVector struct {
	Version     uint32
	Phase, Text string
	AAD, Sealed b64
}

type deviceVector struct {
	Link, Address, TenantID, EnrolmentID, DeviceID, Name, Platform, ChallengeID string
	Secret, Private, ProofKey, DetailsKey, Seed, Proof                          b64
	JWK                                                                         deviceproto.JWK
	Account, Details, Answer                                                    boxVector
	Authorization                                                               struct {
		Body, Header string
		Claims       struct{ JTI, HTM, HTU string }
	}
	Codes []struct {
		Time int64
		Code sallyport.Secret
	}
}

// b64 are octets in base64url.
type b64 []byte

func (b *b64) UnmarshalText(text []byte) (err error) {
	*b, err = deviceproto.Decode(string(text))
	return err
}

// now is when the vectors were made, by their own clock.
var now = time.Unix(1700000000, 0)

func read(t *testing.T) vectors {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "protocol", "vectors.json"))
	check(t, err)
	var v vectors
	check(t, json.Unmarshal(text, &v))
	return v
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if !reflect.DeepEqual(want, got) {
		t.Errorf("%s: want %v, got %v", what, want, got)
	}
}

func TestPythonAgreesWithTheVectors(t *testing.T) {
	t.Parallel()
	finish(t, python(t, "vectors.py"), 0)
}

func TestVectorsOfFieldsHold(t *testing.T) {
	t.Parallel()
	for _, f := range read(t).Fields {
		same(t, strings.Join(f.Parts, "|"), f.Octets, b64(sealed.Fields(f.Parts...)))
	}
}

func TestVectorsOfTheBrowserHold(t *testing.T) {
	t.Parallel()
	v := read(t).Browser
	same(t, "statement", v.Keys.Text, string(v.Keys.Statement))
	kid, iat, pub, err := keyring.VerifyStatement(v.Keys.Statement, v.Keys.Signature, sallyport.TenantID(v.Keys.TenantID), v.Keys.Fingerprint)
	check(t, err)
	c := v.Credentials
	private, err := ecdh.P256().NewPrivateKey(c.RecipientPrivate)
	check(t, err)
	if kid != c.KID || iat != c.IAT || !pub.Equal(private.Public()) {
		t.Errorf("statement names %q, %d", kid, iat)
	}
	opened, err := sealed.OpenCredentials(private, c.Enc, c.Ciphertext, sealed.Binding{
		Tenant: sallyport.TenantID(v.Keys.TenantID), Integration: sallyport.IntegrationID(c.IntegrationID), Login: sallyport.LoginID(c.LoginID),
		UserName: c.UserName, Origin: c.Origin, KeyID: c.KID, StatementIAT: c.IAT,
	})
	check(t, err)
	same(t, "password", c.Password, string(opened.Password))
	same(t, "down", c.Down, b64(opened.Channel.Down))
	same(t, "up", c.Up, b64(opened.Channel.Up))
	login := sallyport.LoginID(c.LoginID)
	v.View.opens(t, "view", opened.Channel.Down, sealed.ViewAAD(login, v.View.Version, v.View.Phase))
	v.Message.opens(t, "message", opened.Channel.Up, sealed.MessageAAD(login, v.Message.Version))
}

func (b boxVector) opens(t *testing.T, what string, key, aad []byte) {
	t.Helper()
	same(t, what+": aad", b.AAD, b64(aad))
	text, err := sealed.Open(key, b.Sealed, aad)
	check(t, err)
	same(t, what, b.Text, strings.TrimRight(string(text), " "))
}

func TestVectorsOfTheDeviceHold(t *testing.T) {
	t.Parallel()
	v := read(t).Device
	link, err := deviceproto.ParseLink(v.Link)
	check(t, err)
	same(t, "address", v.Address, link.Base)
	same(t, "secret", v.Secret, b64(link.Secret))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), v.Private)
	check(t, err)
	jwk, err := deviceproto.NewJWK(&key.PublicKey)
	check(t, err)
	same(t, "jwk", v.JWK, jwk)
	id := sallyport.DeviceID(v.DeviceID)
	same(t, "deviceId", id, deviceproto.Thumbprint(&key.PublicKey))
	keys := deviceproto.DeriveKeys(link.Secret, id)
	same(t, "keys", [3]b64{v.ProofKey, v.DetailsKey, v.Seed}, [3]b64{b64(keys.Proof), b64(keys.Details), b64(keys.Seed)})
	proof := deviceproto.Enrolling{Tenant: link.Tenant, Enrolment: link.Enrolment, Device: id, Name: v.Name, Platform: v.Platform}.Proof(keys.Proof)
	same(t, "proof", v.Proof, b64(proof))
	for _, c := range v.Codes {
		code, err := deviceproto.TokenCode(keys.Seed, time.Unix(c.Time, 0))
		check(t, err)
		same(t, "token code", string(c.Code), string(code))
	}
	v.sealed(t, key, keys)
	v.authorized(t, key)
}

// sealed checks what travels between device and appliance.
func (v deviceVector) sealed(t *testing.T, key *ecdsa.PrivateKey, keys deviceproto.Keys) {
	t.Helper()
	id, challenge := sallyport.DeviceID(v.DeviceID), sallyport.ChallengeID(v.ChallengeID)
	account, err := deviceproto.OpenAccount(keys.Details, id, v.Account.Sealed)
	check(t, err)
	same(t, "account", deviceproto.Account{User: "zoë", Enterprise: "St. Mary's Hospital"}, account)
	details, err := deviceproto.OpenDetails(keys.Details, id, challenge, v.Details.Sealed)
	check(t, err)
	same(t, "details", sallyport.ChallengeDetails{User: "zoë", Application: "Hospital VPN", Place: "203.0.113.7",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Digits: 2}, details)
	der, err := deviceproto.MarshalPublicKey(&key.PublicKey)
	check(t, err)
	answer, err := deviceproto.OpenAnswer(keys.Details, der, id, challenge, v.Answer.Sealed)
	check(t, err)
	same(t, "answer", deviceproto.Answer{Challenge: challenge, Decision: sallyport.DecisionApprove, Number: "42",
		User: "zoë", Application: "Hospital VPN", At: now}, answer)
	for what, box := range map[string]boxVector{"account": v.Account, "details": v.Details} {
		same(t, what+": length", 512+sealed.Overhead, len(box.Sealed))
	}
	same(t, "answer: length", 1024+sealed.Overhead, len(v.Answer.Sealed))
}

func (v deviceVector) authorized(t *testing.T, key *ecdsa.PrivateKey) {
	t.Helper()
	a, err := deviceproto.VerifyAuthorization(v.Authorization.Header,
		func(sallyport.TenantID, sallyport.DeviceID) (*ecdsa.PublicKey, error) { return &key.PublicKey, nil },
		deviceproto.Request{Audience: v.Address, Method: v.Authorization.Claims.HTM, Path: v.Authorization.Claims.HTU, Body: []byte(v.Authorization.Body)}, now)
	check(t, err)
	same(t, "authorization", deviceproto.Authorization{Tenant: sallyport.TenantID(v.TenantID), Device: sallyport.DeviceID(v.DeviceID),
		ID: v.Authorization.Claims.JTI, Expires: now.Add(time.Minute)}, a)
}

// TestVectorOfAJoinHolds has an appliance answer the vector's message, and opens the answer by
// docs/protocol/tunnel.md, "Joining".
func TestVectorOfAJoinHolds(t *testing.T) {
	t.Parallel()
	v := read(t).Join
	ring, err := keyring.New(sallyport.TenantID(v.TenantID))
	check(t, err)
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), ring.Derive("store"))
	check(t, err)
	defer func() { check(t, s.Close()) }()
	var request struct{ Invite string }
	check(t, json.Unmarshal([]byte(v.Message), &request))
	invites := appliance.Invites{Store: s}
	check(t, invites.Put(t.Context(), trust.Invite{ID: request.Invite, Code: sallyport.Secret(v.Code), Expires: now.Add(time.Hour)}, now))
	host := trust.Host{Ring: ring, Invites: invites, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
	text, err := host.Answer(t.Context(), sallyport.ApplianceID(v.ApplianceID), []byte(v.Message))
	check(t, err)

	var answer struct{ Key, Box []byte }
	check(t, json.Unmarshal(text, &answer))
	private, err := ecdh.P256().NewPrivateKey(v.Private)
	check(t, err)
	peer, err := ecdh.P256().NewPublicKey(answer.Key)
	check(t, err)
	shared, err := private.ECDH(peer)
	check(t, err)
	secret := append(bytes.Clone(shared), strings.ReplaceAll(v.Code, "-", "")...)
	key := sealed.Derive(secret, sealed.Fields(string(private.PublicKey().Bytes()), string(answer.Key)), "sallyport/v1 join keys", 32)
	given, err := keyring.Unseal(answer.Box, key, sealed.Fields("join", v.TenantID, v.ApplianceID))
	check(t, err)
	same(t, "fingerprint", ring.Fingerprint(), given.Fingerprint())
}
