package adminapi

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// sample is a request that succeeds once.
type sample struct {
	path, body string
	version    int64 // for If-Match; 0: none
	status     int   // 0: 200
}

func (s sample) headers() []string {
	if s.version == 0 {
		return nil
	}
	return []string{"If-Match", etag(s.version)}
}

// samples make such a request of every operation, with what it needs to be there.
func samples() map[string]func(*world) sample {
	get := func(path string) func(*world) sample { return func(*world) sample { return sample{path: path} } }
	return map[string]func(*world) sample{
		"searchUsers": get("/users?q=a&state=active&limit=2"),
		"getUser":     ofUser("", http.StatusOK), "listDevices": ofUser("/devices", http.StatusOK), "listTemporaryCodes": ofUser("/temporary-codes", http.StatusOK),
		"listUserLogins": ofUser("/logins", http.StatusOK), "releasePolicy": ofUser("/release-policy", http.StatusNoContent),
		"requireSecondFactor": ofUser("/require-second-factor", http.StatusNoContent),
		"listPhones":          ofUser("/phones", http.StatusOK), "deletePhone": aPhone, "listUserPasskeys": ofUser("/passkeys", http.StatusOK), "deleteUserPasskey": aPasskey, "getTextSettings": get("/settings/sms"),
		"addPhone": func(w *world) sample {
			w.noPhones()
			return sample{path: "/users/" + string(w.users["alice"].ID) + "/phones", body: `{"number":"+44 7400 123456"}`, status: http.StatusCreated}
		},
		"deleteDevice": aDevice, "revokeTemporaryCode": aTemporaryCode,
		"listRememberedDevices": ofUser("/remembered-devices", http.StatusOK), "deleteRememberedDevice": aRememberedDevice,
		"assignPolicy": func(w *world) sample {
			p := w.policy()
			return sample{path: "/policy-assignments", body: fmt.Sprintf(`{"policy":%q,"users":[%q]}`, p.ID, w.users["alice"].ID)}
		},
		"searchOTPTokens": get("/otp-tokens?q=FT&state=active&kind=totp&assigned=true&limit=2"), "getOTPToken": anOTPToken("", http.StatusOK, false),
		"unassignOTPToken": anOTPToken("/unassign", http.StatusOK, true), "disableOTPToken": anOTPToken("/disable", http.StatusOK, true),
		"deleteOTPToken": anOTPToken("", http.StatusNoContent, true), "listUserOTPTokens": ofUser("/otp-tokens", http.StatusOK), "getPIN": ofUser("/pin", http.StatusOK), "deletePIN": aPIN,
		"listUserPolicies": get("/user-policies?limit=1"), "getUserPolicy": get("/user-policies/default"),
		"addUserPolicy": func(w *world) sample {
			return sample{path: "/user-policies", body: policyBody(w.fresh("policy")), status: http.StatusCreated}
		},
		"changeUserPolicy": func(w *world) sample {
			p := w.policy()
			return sample{path: "/user-policies/" + string(p.ID), body: policyBody(p.Name), version: p.Version}
		},
		"deleteUserPolicy": func(w *world) sample {
			p := w.policy()
			return sample{path: "/user-policies/" + string(p.ID), version: p.Version, status: http.StatusNoContent}
		},
		"makeDefaultUserPolicy": func(w *world) sample {
			return sample{path: "/user-policies/" + string(w.policy().ID) + "/make-default", status: http.StatusNoContent}
		},
		"getPolicyRules": get("/policy-rules"),
		"replacePolicyRules": func(w *world) sample {
			_, version, err := w.store.AssignmentRules(context.Background())
			w.must(err)
			return sample{path: "/policy-rules", version: version,
				body: fmt.Sprintf(`{"rules":[{"domain":%q,"object":{"kind":"ou","dn":"OU=Ward,DC=hospital,DC=test"},"policy":"default"}]}`, w.domain.ID)}
		},
		"getLicences": get("/licences"), "getWorkflowPolicy": get("/workflow-policy"),
		"changeWorkflowPolicy": func(w *world) sample {
			flow, err := w.store.LoginWorkflow(context.Background())
			w.must(err)
			return sample{path: "/workflow-policy", version: flow.Version, body: `{"allowed":["password+app"],"numberMatching":true,"remember":{"allowed":true,"hours":24}}`}
		},
		"associateWorkflowPolicy": func(*world) sample {
			return sample{path: "/workflow-policy/associate", body: `{"userPolicies":["default"]}`, status: http.StatusNoContent}
		},
		"listEnrolRules": get("/enrol-rules"), "getEnrolRule": get("/enrol-rules/standard"),
		"addEnrolRule": func(w *world) sample {
			return sample{path: "/enrol-rules", body: ruleBody(w.fresh("rule")), status: http.StatusCreated}
		},
		"changeEnrolRule": func(w *world) sample {
			r := w.rule()
			return sample{path: "/enrol-rules/" + string(r.ID), body: ruleBody(r.Name), version: r.Version}
		},
		"deleteEnrolRule": func(w *world) sample {
			r := w.rule()
			return sample{path: "/enrol-rules/" + string(r.ID), version: r.Version, status: http.StatusNoContent}
		},
		"associateEnrolRule": func(*world) sample {
			return sample{path: "/enrol-rules/standard/associate", body: `{"userPolicies":["default"]}`, status: http.StatusNoContent}
		},
		"listIntegrations": get("/integrations"), "getIntegration": get("/integrations/gate"), "getScript": get("/integrations/gate/script"),
		"getIntegrationHealth": get("/integrations/gate/health"), "listIntegrationHealth": get("/integration-health"),
		"addIntegration": func(w *world) sample {
			name := w.fresh("gate")
			return sample{path: "/integrations", status: http.StatusCreated, body: fmt.Sprintf(`{"id":%q,"nickname":%q,"hosts":["%s.hospital.test"]}`, name, name, name)}
		},
		"changeIntegration": func(w *world) sample {
			i := w.integration()
			return sample{path: "/integrations/" + string(i.ID), version: i.Version, body: integrationText(i)}
		},
		"deleteIntegration": func(w *world) sample {
			i := w.integration()
			return sample{path: "/integrations/" + string(i.ID), version: i.Version, status: http.StatusNoContent}
		},
		"rotateSecret": func(w *world) sample {
			i := w.integration()
			return sample{path: "/integrations/" + string(i.ID) + "/rotate-secret", version: i.Version, body: `{"overlapHours":2}`}
		},
		"endOverlap": func(w *world) sample {
			i := w.integration()
			saved, err := w.admin.RotateIntegrationSecret(context.Background(), root, i.ID, i.Version, "", time.Hour)
			w.must(err)
			return sample{path: "/integrations/" + string(i.ID) + "/end-overlap", version: saved.Integration.Version}
		},
		"previewAttributes": func(*world) sample {
			return sample{path: "/attribute-preview", body: `{"attributes":[{"group":"CN=Nurses,CN=Users,DC=hospital,DC=test","attribute":25,"type":"text","values":["nurse"]}],"account":"hospital\\alice"}`}
		},
		"getTokenServers": func(w *world) sample {
			if v, err := w.store.TokenServers(context.Background()); err == nil && v.Version == 0 {
				_, err = w.store.PutTokenServers(context.Background(), sallyport.TokenServers{Name: "RSA SecurID", Policies: []sallyport.UserPolicyID{"default"}, UserName: sallyport.TokenUserShort,
					Timeout: sallyport.TokenTimeoutDefault, Tries: 3, Servers: []sallyport.TokenServer{{Host: "rsa1.hospital.test", Port: 1812, Secret: "a secret of rsa1"}}})
				w.must(err)
			}
			return sample{path: "/token-servers"}
		},
		"listDomains": get("/domains"), "getDomain": ofDomain(""), "listTree": ofDomain("/tree"), "findGroups": ofDomain("/groups?q=Nur"),
		"getDirectoryObject": ofDomain("/object?dn=CN%3DNurses,CN%3DUsers,DC%3Dhospital,DC%3Dtest"), "listSynchronisations": ofDomain("/synchronisations"),
		"previewSynchronisation": ofDomain("/synchronisation-preview?limit=5"),
		"tryDomain": func(w *world) sample {
			return sample{path: "/domain-trial", body: fmt.Sprintf(`{"id":%q,"servers":[%q],"authority":%q,"bindName":%q}`, w.domain.ID, w.domain.Servers[0], w.domain.Authority, w.domain.BindName)}
		},
		"startSynchronisation": func(w *world) sample {
			return sample{path: "/domains/" + string(w.emptyDomain()) + "/synchronisations", body: `{"kind":"full"}`, status: http.StatusAccepted}
		},
		"listLogins":   get("/logins?outcome=granted&from=2026-01-01T00:00:00Z&limit=1000"),
		"explainLogin": func(w *world) sample { return sample{path: "/logins/" + w.code} }, "listRadiusRequests": get("/radius-requests?outcome=accept"),
		"listAuditRecords": get("/audit-records?action=integration."), "getAuditRecord": anAuditRecord, "verifyAudit": get("/audit-verification"),
		"exportUsers": get("/reports/users.csv?enrolled=false"), "exportLogins": get("/reports/logins.csv"), "exportRadiusRequests": get("/reports/radius-requests.csv"),
		"exportAuditRecords": get("/reports/audit-records.csv"),
		"getOverview":        get("/overview"), "listAdministrators": get("/administrators"), "getAdministrator": get("/administrators/super"),
		"listAdministratorFactors": get("/administrators/super/factors"), "listOwnFactors": get("/account/factors"),
		"removeAdministratorFactor": func(w *world) sample {
			w.passkeys("auditor")
			return sample{path: "/administrators/auditor/factors/" + passkeyName, status: http.StatusNoContent}
		},
		"removeOwnFactor": func(w *world) sample {
			w.passkeys("super", "admin", "helpdesk", "auditor") // the sample is for any of them
			return sample{path: "/account/factors/totp", status: http.StatusNoContent}
		},
		"getRoleGrants": get("/role-grants"), "getConsoleSettings": get("/settings/console"), "getLanguageSettings": get("/settings/language"),
		"changeConsoleSettings": func(w *world) sample {
			v, err := w.admin.ConsoleSettings(context.Background(), root)
			w.must(err)
			return sample{path: "/settings/console", version: tagged(v.Version), body: `{"idleMinutes":20}`}
		},
		"changeLanguageSettings": func(w *world) sample {
			v, err := w.admin.LanguageSettings(context.Background(), root)
			w.must(err)
			return sample{path: "/settings/language", version: tagged(v.Version), body: `{"default":"fr"}`}
		},
		"listAppliances": func(w *world) sample {
			w.appliance()
			return sample{path: "/appliances?limit=1"}
		},
		"renameAppliance": func(w *world) sample {
			return sample{path: "/appliances/" + w.appliance() + "/rename", body: fmt.Sprintf(`{"name":%q}`, w.fresh("Cellar")), status: http.StatusNoContent}
		},
		"removeAppliance": func(w *world) sample {
			return sample{path: "/appliances/" + w.appliance(), status: http.StatusNoContent}
		},
		"listSites": get("/sites"),
		"getSite":   func(w *world) sample { return sample{path: "/sites/" + string(w.site().ID)} },
		"addSite": func(w *world) sample {
			return sample{path: "/sites", body: siteBody(w.fresh("site"), w.appliance()), status: http.StatusCreated}
		},
		"changeSite": func(w *world) sample {
			x := w.site()
			return sample{path: "/sites/" + string(x.ID), version: x.Version, body: siteBody(x.Name, w.appliance())}
		},
		"deleteSite": func(w *world) sample {
			x := w.site()
			return sample{path: "/sites/" + string(x.ID), version: x.Version, status: http.StatusNoContent}
		},
		"getDescription": get("/openapi.yaml"),
	}
}

func ofUser(below string, status int) func(*world) sample {
	return func(w *world) sample {
		return sample{path: "/users/" + string(w.users["alice"].ID) + below, status: status}
	}
}

func ofDomain(below string) func(*world) sample {
	return func(w *world) sample { return sample{path: "/domains/" + string(w.domain.ID) + below} }
}

func aDevice(w *world) sample {
	id := sallyport.DeviceID(strings.Repeat("d", 30) + w.fresh("x"))
	w.must(w.store.PutDevice(context.Background(), sallyport.Device{ID: id, Account: w.users["alice"].Account, Name: "Phone", Platform: "ios", PublicKey: []byte{1},
		Seed: make(sallyport.Key, 20), DetailsKey: make(sallyport.Key, 32), Enrolled: w.now()}))
	return sample{path: "/users/" + string(w.users["alice"].ID) + "/devices/" + string(id), status: http.StatusNoContent}
}

// noPhones leaves alice room for a phone number.
func (w *world) noPhones() {
	list, err := w.store.Phones(context.Background(), w.users["alice"].Account)
	w.must(err)
	for _, p := range list {
		w.must(w.store.DeletePhone(context.Background(), p.Account, p.ID))
	}
}

func aPhone(w *world) sample {
	w.noPhones()
	p, err := w.admin.AddPhone(context.Background(), root, w.users["alice"].ID, "+44 7400 123457")
	w.must(err)
	return sample{path: "/users/" + string(w.users["alice"].ID) + "/phones/" + string(p.ID), status: http.StatusNoContent}
}

func aPasskey(w *world) sample {
	id := w.fresh("passkey")
	w.must(w.store.AddUserPasskey(context.Background(), sallyport.Passkey{ID: sallyport.PasskeyID(id), Account: w.users["alice"].Account, Host: "vpn.hospital.example",
		Name: "Security key", Credential: []byte(id), Kept: []byte("{}"), Enrolled: w.now()}))
	return sample{path: "/users/" + string(w.users["alice"].ID) + "/passkeys/" + id, status: http.StatusNoContent}
}

func aRememberedDevice(w *world) sample {
	id := sallyport.RememberedID(w.fresh("remembered"))
	w.must(w.store.PutRemembered(context.Background(), sallyport.RememberedDevice{ID: id, Account: w.users["alice"].Account, Browser: "Firefox on Windows",
		Place: "203.0.113.7", Made: w.now()}, ""))
	return sample{path: "/users/" + string(w.users["alice"].ID) + "/remembered-devices/" + string(id), status: http.StatusNoContent}
}

func aTemporaryCode(w *world) sample {
	_, _, err := w.admin.IssueTemporaryCode(context.Background(), root, w.users["bob"].ID, time.Hour)
	w.must(err)
	return sample{path: "/users/" + string(w.users["bob"].ID) + "/revoke-temporary-code", status: http.StatusNoContent}
}

// anOTPToken is one that bob has: it is his only one.
func anOTPToken(below string, status int, versioned bool) func(*world) sample {
	return func(w *world) sample {
		ctx := context.Background()
		page, err := w.store.OTPTokens(ctx, store.OTPTokenQuery{Account: w.users["bob"].Account})
		w.must(err)
		for _, k := range page.Tokens {
			w.must(w.store.DeleteOTPToken(ctx, k.ID, 0))
		}
		serial := w.fresh("FT-")
		_, err = w.store.ImportOTPTokens(ctx, []sallyport.OTPToken{{Serial: serial, Kind: sallyport.TOTP, Algorithm: sallyport.SHA1, Digits: 6, Period: time.Minute, Seed: sallyport.Key(tokenSeed)}})
		w.must(err)
		page, err = w.store.OTPTokens(ctx, store.OTPTokenQuery{Serial: serial})
		w.must(err)
		k, err := w.store.AssignOTPToken(ctx, page.Tokens[0].ID, 0, w.users["bob"].Account)
		w.must(err)
		s := sample{path: "/otp-tokens/" + string(k.ID) + below, status: status}
		if versioned {
			s.version = k.Version
		}
		return s
	}
}

const tokenSeed = "seed-of-an-OTP-token"

func aPIN(w *world) sample {
	w.must(w.store.SetOTPPIN(context.Background(), sallyport.OTPPIN{Account: w.users["alice"].Account, Hash: "hash", Set: w.now(), By: "Helen Desk"}))
	return sample{path: "/users/" + string(w.users["alice"].ID) + "/pin", status: http.StatusNoContent}
}

// passkeyName is the id of the passkey that passkeys makes.
const passkeyName = "cGFzc2tleQ"

// passkeys gives administrators a passkey and a code generator, those of before included. A passkey is one
// administrator's: each has a credential of their own, the auditor that of passkeyName.
func (w *world) passkeys(names ...string) {
	ctx := context.Background()
	for _, name := range names {
		id, credential := sallyport.AdministratorID(name), []byte(name)
		if name == "auditor" {
			credential = []byte("passkey")
		}
		w.must(w.store.PutPasskey(ctx, id, store.Passkey{Credential: credential, Kept: []byte(`{"name":"Key","host":"console.hospital.test"}`), Created: w.now()}))
		w.must(w.store.SetTOTP(ctx, id, make(sallyport.Key, 20)))
	}
}

// appliance is one that told of itself.
func (w *world) appliance() string {
	id := w.fresh("appliance")
	w.must(w.store.ReportAppliance(context.Background(), sallyport.Appliance{ID: sallyport.ApplianceID(id), Name: id, Version: "v1.0.0", Started: w.now(), Heard: w.now(),
		Streams: []sallyport.TunnelStream{{Replica: "cloud-1", Since: w.now()}}, RADIUS: "[::]:1812", ClockKnown: true}))
	return id
}

func (w *world) site() sallyport.Site {
	x, err := w.admin.PutSite(context.Background(), root, sallyport.Site{Name: w.fresh("site"), Kind: sallyport.SiteActive})
	w.must(err)
	return x
}

func siteBody(name, appliance string) string {
	return fmt.Sprintf(`{"name":%q,"kind":"hot_standby","ranges":[],"appliances":[%q]}`, name, appliance)
}

func anAuditRecord(w *world) sample {
	page, err := w.store.AuditRecords(context.Background(), store.AuditQuery{Most: 1})
	w.must(err)
	return sample{path: fmt.Sprintf("/audit-records/%s/%d", page.Records[0].Chain, page.Records[0].Sequence)}
}

func (w *world) policy() sallyport.UserPolicy {
	p, err := w.admin.PutUserPolicy(context.Background(), root, sallyport.UserPolicy{Name: w.fresh("policy")})
	w.must(err)
	return p
}

func policyBody(name string) string {
	return fmt.Sprintf(`{"name":%q,"note":"","licensed":true,"remoteAccess":false}`, name)
}

func (w *world) rule() sallyport.EnrolRule {
	r, err := w.admin.PutEnrolRule(context.Background(), root, sallyport.EnrolRule{Name: w.fresh("rule"), Unenrolled: sallyport.UnenrolledOther})
	w.must(err)
	return r
}

func ruleBody(name string) string {
	return fmt.Sprintf(`{"name":%q,"unenrolled":"other_method","promptAtGateway":true,"promptOnSite":true,"mayDelay":false,"temporaryCode":true}`, name)
}

func (w *world) integration() sallyport.Integration {
	name := w.fresh("gate")
	saved, err := w.admin.AddIntegration(context.Background(), root, sallyport.Integration{ID: sallyport.IntegrationID(name), Nickname: name,
		Clients: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(w.made.Load() / 256), byte(w.made.Load())}), 32)}})
	w.must(err)
	return saved.Integration
}

func integrationText(i sallyport.Integration) string {
	return fmt.Sprintf(`{"kind":%q,"nickname":%q,"note":"","clients":[%q],"hosts":[],"messageAuthenticator":"always","origins":["https://vpn.hospital.test"],`+
		`"allowNonLicensed":false,"attributes":[],"language":"de","experience":"both","passwordEncoding":"windows-1252","passcodeSeparator":",","askMethod":true,"tls":{"fingerprints":["%x"],"authority":"","names":[]},"secret":"another-secret-0123456789"}`, admin.KindF5, i.Nickname, i.Clients[0],
		sha256.Sum256([]byte(i.Nickname)))
}

// emptyDomain is one that does not answer, under way nowhere.
func (w *world) emptyDomain() sallyport.DomainID {
	name := w.fresh("domain")
	d, err := w.store.As(root).PutDomain(context.Background(), sallyport.Domain{Name: name + ".test", NetBIOS: strings.ToUpper(name), Servers: []string{"ldaps://127.0.0.1:1"},
		BindName: "svc@" + name + ".test", BindPassword: bindPassword})
	w.must(err)
	return d.ID
}
