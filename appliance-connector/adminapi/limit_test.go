package adminapi

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

func TestLimitsOfParameters(t *testing.T) {
	w := newWorld(t)
	token := bearer("super", sallyport.TokenReads)
	for _, c := range []struct {
		query  string
		status int
		field  string
	}{
		{"/users?limit=1", 200, ""},
		{"/users?limit=1000", 200, ""},
		{"/users?limit=0", 400, "limit"},
		{"/users?limit=1001", 400, "limit"},
		{"/users?limit=-1", 400, "limit"},
		{"/users?limit=99999999999999999999", 400, "limit"},
		{"/users?limit=ten", 400, "limit"},
		{"/users?limit=", 400, "limit"},
		{"/users?limit=5&limit=6", 400, "limit"},
		{"/users?state=gone", 400, "state"},
		{"/users?enrolled=yes", 400, "enrolled"},
		{"/users?q=" + strings.Repeat("x", 200), 200, ""},
		{"/users?q=" + strings.Repeat("x", 201), 400, "q"},
		{"/users?domain=a%20b", 400, "domain"},
		{"/users?cursor=nonsense", 400, ""},
		{"/users?cursor=%00", 400, "cursor"},
		{"/users?%zz", 400, ""},
		{"/users/a%2Fb", 400, "user"},
		{"/users/" + strings.Repeat("x", 65), 400, "user"},
		{"/users/nobody", 404, ""},
		{"/enrol-rules?cursor=!", 400, "cursor"},
		{"/enrol-rules?cursor=A", 400, "cursor"},
		{"/logins?from=yesterday", 400, "from"},
		{"/logins?from=2026-03-04T09:30:00Z&to=2026-03-04T09:30:00%2B02:00", 200, ""},
		{"/logins/ABCD", 400, "supportCode"},
		{"/logins/ABCD-EFGH", 404, ""},
		{"/audit-records/local/0", 400, "sequence"},
		{"/audit-records/local/9007199254740993", 400, "sequence"},
		{"/nothing", 404, ""},
		{"", 404, ""},
	} {
		a := w.ask("GET", c.query, token, "")
		if a.StatusCode != c.status {
			t.Errorf("%.80s: %d %s, want %d", c.query, a.StatusCode, a.body, c.status)
			continue
		}
		if c.status == http.StatusOK {
			continue
		}
		p := a.problem(t)
		if c.field != "" && (len(p.Errors) != 1 || p.Errors[0].Field != c.field || p.Errors[0].Detail == "") {
			t.Errorf("%.80s: %+v, want something about %s", c.query, p.Errors, c.field)
		}
	}
	if a := w.ask("PATCH", "/users", token, ""); a.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(a.Header.Get("Allow"), "GET") {
		t.Errorf("PATCH: %d %v", a.StatusCode, a.Header)
	}
}

func TestFaultsOfABodyAreNamedByFieldAndShowNoValue(t *testing.T) {
	w := newWorld(t)
	secret := strings.Repeat("s3cret", 30)
	a := w.ask("POST", "/integrations", bearer("admin", sallyport.TokenWrites), fmt.Sprintf(`{"nickname":"","secret":%q,"clients":["192.0.2.300/32","nonsense"],"origins":[1],"colour":"red"}`, secret))
	if a.StatusCode != http.StatusUnprocessableEntity || bytes.Contains(a.body, []byte("s3cret")) || strings.Contains(w.logs.String(), "s3cret") {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	var fields []string
	for _, e := range a.problem(t).Errors {
		fields = append(fields, e.Field)
	}
	if want := []string{"clients.1", "colour", "nickname", "origins.0", "secret"}; !slices.Equal(fields, want) {
		t.Errorf("%v, want %v: %s", fields, want, a.body)
	}
	a = w.ask("POST", "/integrations", bearer("admin", sallyport.TokenWrites), `{"nickname":"New","clients":["192.0.2.30/32","192.0.2.300/32"]}`)
	if p := a.problem(t); a.StatusCode != http.StatusUnprocessableEntity || len(p.Errors) != 1 || p.Errors[0].Field != "clients.1" {
		t.Errorf("an address that is none: %d %s", a.StatusCode, a.body)
	}
	a = w.ask("PUT", "/workflow-policy", bearer("admin", sallyport.TokenWrites), `{"allowed":[],"remember":{}}`, "If-Match", `"1"`)
	fields = nil
	for _, e := range a.problem(t).Errors {
		fields = append(fields, e.Field)
	}
	if want := []string{"allowed", "numberMatching", "remember.allowed", "remember.hours"}; !slices.Equal(fields, want) {
		t.Errorf("%v, want %v: %s", fields, want, a.body)
	}
	a = w.ask("POST", "/integrations", bearer("admin", sallyport.TokenWrites), `{"nickname":"New","clients":["192.0.2.9/24"]}`)
	if p := a.problem(t); a.StatusCode != http.StatusUnprocessableEntity || len(p.Errors) != 1 || p.Errors[0].Field != "clients" {
		t.Errorf("what administration finds: %d %s", a.StatusCode, a.body)
	}
}

func TestAnOvertakenChangeSaysWhoWasFirst(t *testing.T) {
	w := newWorld(t)
	p := w.policy()
	token := bearer("admin", sallyport.TokenWrites)
	seen := w.ask("GET", "/user-policies/"+string(p.ID), token, "").Header.Get("ETag")
	if a := w.ask("PUT", "/user-policies/"+string(p.ID), bearer("super", sallyport.TokenWrites), policyBody("first"), "If-Match", seen); a.StatusCode != http.StatusOK || a.Header.Get("ETag") == seen {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	a := w.ask("PUT", "/user-policies/"+string(p.ID), token, policyBody("second"), "If-Match", seen)
	if d := a.problem(t); a.StatusCode != http.StatusPreconditionFailed || !strings.Contains(d.Detail, "super (write)") || d.Code != sallyport.CodeConflict {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := w.ask("DELETE", "/user-policies/"+string(p.ID), token, "", "If-Match", seen); a.StatusCode != http.StatusPreconditionFailed {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	// A name that is taken is another thing, and what is sent again after a lost answer adds nothing.
	if a := w.ask("POST", "/user-policies", token, policyBody("FIRST")); a.StatusCode != http.StatusConflict {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	i := w.integration()
	for n, want := range []int{http.StatusOK, http.StatusPreconditionFailed} {
		if a := w.ask("POST", "/integrations/"+string(i.ID)+"/rotate-secret", token, `{}`, "If-Match", etag(i.Version)); a.StatusCode != want {
			t.Errorf("rotation %d: %d %s", n, a.StatusCode, a.body)
		}
	}
}

func TestPagesHoldEverybodyOnce(t *testing.T) {
	w := newWorld(t)
	for range 7 {
		w.policy()
	}
	for _, path := range []string{"/users?limit=1", "/user-policies?limit=3", "/enrol-rules?limit=1", "/administrators?limit=2", "/audit-records?limit=4", "/domains/" + string(w.domain.ID) + "/synchronisations?limit=1"} {
		var ids []string
		total, next := -1, ""
		for {
			var p struct {
				Items []struct {
					ID       string
					Chain    string
					Sequence int
				}
				Next  string
				Total *int
			}
			a := w.ask("GET", path+"&cursor="+url.QueryEscape(next), bearer("super", sallyport.TokenReads), "")
			if next == "" {
				a = w.ask("GET", path, bearer("super", sallyport.TokenReads), "")
			}
			if err := json.Unmarshal(a.body, &p); err != nil || a.StatusCode != http.StatusOK {
				t.Fatalf("%s: %d %s %v", path, a.StatusCode, a.body, err)
			}
			for _, i := range p.Items {
				ids = append(ids, fmt.Sprint(i.ID, i.Chain, i.Sequence))
			}
			if p.Total != nil {
				total = *p.Total
			}
			if next = p.Next; next == "" {
				break
			}
		}
		n := len(ids)
		slices.Sort(ids)
		if len(slices.Compact(ids)) != n || total >= 0 && total != n || n == 0 {
			t.Errorf("%s: %d entries, total %d: %v", path, n, total, ids)
		}
	}
}

func TestGuessesAtTokensAreLimitedByNetwork(t *testing.T) {
	w := newWorld(t)
	good := bearer("super", sallyport.TokenReads)
	statuses := map[int]int{}
	for n := range 40 {
		req, err := http.NewRequest("GET", w.url+Prefix+"/overview", nil)
		w.must(err)
		req.Header.Set("Authorization", fmt.Sprintf("Bearer sallyport_guess%d", n))
		res, err := http.DefaultClient.Do(req)
		w.must(err)
		w.must(res.Body.Close())
		statuses[res.StatusCode]++
		if res.StatusCode == http.StatusTooManyRequests && res.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if statuses[http.StatusUnauthorized] != 30 || statuses[http.StatusTooManyRequests] != 10 {
		t.Errorf("%v", statuses)
	}
	if a := w.ask("GET", "/overview", good, ""); a.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a good token among guesses: %d", a.StatusCode)
	}
	w.forward(2 * time.Minute)
	if a := w.ask("GET", "/overview", good, ""); a.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %d %s", a.StatusCode, a.body)
	}
	for _, header := range []string{"Bearer", "Bearer ", "Basic abc", "sallyport_x", "Bearer  "} {
		if a := w.ask("GET", "/overview", "", "", "Authorization", header); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("%q: %d", header, a.StatusCode)
		}
	}
}

func TestATokenEndsWithItsTimeItsOwnerAndItsOwnersRole(t *testing.T) {
	w := newWorld(t)
	ctx, token := context.Background(), bearer("auditor", sallyport.TokenReads)
	status := func() int { return w.ask("GET", "/overview", token, "").StatusCode }
	if status() != http.StatusOK {
		t.Fatal(status())
	}
	a, err := w.store.Administrator(ctx, "auditor")
	w.must(err)
	a.Disabled = true
	a, err = w.store.As(root).PutAdministrator(ctx, a)
	w.must(err)
	if got := status(); got != http.StatusUnauthorized {
		t.Errorf("of somebody disabled: %d", got)
	}
	a.Disabled, a.Role = false, sallyport.RoleHelpDesk
	a, err = w.store.As(root).PutAdministrator(ctx, a)
	w.must(err)
	if got := status(); got != http.StatusUnauthorized {
		t.Errorf("of somebody with another role: %d", got)
	}
	a.Role = sallyport.RoleSuper
	_, err = w.store.As(root).PutAdministrator(ctx, a)
	w.must(err)
	if got := status(); got != http.StatusOK {
		t.Errorf("of somebody with more: %d", got)
	}
	w.forward(25 * time.Hour)
	if got := status(); got != http.StatusUnauthorized {
		t.Errorf("after its time: %d", got)
	}
}

func TestALimitedTokenSeesItsUsersOnly(t *testing.T) {
	w := newWorld(t)
	w.administrator("limited", sallyport.RoleHelpDesk, sallyport.Scope{OUs: []string{"OU=Ward,DC=hospital,DC=test"}})
	token := bearer("limited", sallyport.TokenWrites)
	a := w.ask("GET", "/users", token, "")
	if !bytes.Contains(a.body, []byte(`"total":2`)) || bytes.Contains(a.body, []byte("alice")) {
		t.Errorf("%s", a.body)
	}
	alice, bob := "/users/"+string(w.users["alice"].ID), "/users/"+string(w.users["bob"].ID)
	if a := w.ask("GET", alice, token, ""); a.StatusCode != http.StatusNotFound {
		t.Errorf("%d", a.StatusCode)
	}
	if a := w.ask("POST", alice+"/require-second-factor", token, ""); a.StatusCode != http.StatusNotFound {
		t.Errorf("%d", a.StatusCode)
	}
	if a := w.ask("POST", bob+"/require-second-factor", token, ""); a.StatusCode != http.StatusNoContent {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestAFastTokenIsSlowed(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 9, 30, 0, 0, time.UTC)
	p := newPace(func() time.Time { return now })
	for n := range tokenBurst {
		if !p.allow("a") {
			t.Fatalf("request %d was refused", n)
		}
	}
	if p.allow("a") || !p.allow("b") {
		t.Error("one token's haste is not its own")
	}
	now = now.Add(time.Second)
	for n := range tokenRate {
		if !p.allow("a") {
			t.Fatalf("request %d of a second was refused", n)
		}
	}
	if p.allow("a") {
		t.Error("more than the rate")
	}
	for n := range maxTokens {
		p.allow(sallyport.Secret(fmt.Sprint(n)))
	}
	now = now.Add(time.Hour)
	if p.allow("c"); len(p.tokens) > 1 {
		t.Errorf("%d tokens are kept", len(p.tokens))
	}
}

func TestPlacesForWhatTakesLongAreFew(t *testing.T) {
	w := newWorld(t)
	token := bearer("super", sallyport.TokenReads)
	for range maxLong {
		w.api.long <- struct{}{}
	}
	for path, want := range map[string]int{"/reports/users.csv": http.StatusTooManyRequests, "/audit-verification": http.StatusTooManyRequests, "/users": http.StatusOK} {
		if a := w.ask("GET", path, token, ""); a.StatusCode != want {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	<-w.api.long
	if a := w.ask("GET", "/reports/users.csv", token, ""); a.StatusCode != http.StatusOK || len(w.api.long) != maxLong-1 {
		t.Errorf("%d, %d places taken", a.StatusCode, len(w.api.long))
	}
	for range maxBusy {
		w.api.busy <- struct{}{}
	}
	if a := w.ask("GET", "/users", token, ""); a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" {
		t.Errorf("busy: %d", a.StatusCode)
	}
}

func TestReportsAreCSVThatIsSafeInASpreadsheet(t *testing.T) {
	w := newWorld(t)
	a := w.ask("GET", "/reports/logins.csv?outcome=granted", bearer("auditor", sallyport.TokenReads), "")
	rows, err := csv.NewReader(bytes.NewReader(a.body)).ReadAll()
	if err != nil || len(rows) != 2 || rows[0][3] != "userName" || rows[1][3] != "'=alice" || rows[1][4] != `hospital\alice` {
		t.Errorf("%v %q", err, rows)
	}
	if kind := a.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/csv") {
		t.Error(kind)
	}
	a = w.ask("GET", "/reports/logins.csv?outcome=abandoned", bearer("auditor", sallyport.TokenReads), "")
	if rows, err := csv.NewReader(bytes.NewReader(a.body)).ReadAll(); err != nil || len(rows) != 1 {
		t.Errorf("without logins: %v %q", err, rows)
	}
	a = w.ask("GET", "/reports/users.csv", bearer("helpdesk", sallyport.TokenReads), "")
	if a.StatusCode != http.StatusForbidden {
		t.Errorf("%d", a.StatusCode)
	}
}

func TestEveryCodeHasItsStatus(t *testing.T) {
	t.Parallel()
	for code, want := range map[sallyport.Code]int{sallyport.CodeInvalid: 400, sallyport.CodeDenied: 403, sallyport.CodeNotFound: 404, sallyport.CodeConflict: 409, sallyport.CodeExpired: 410,
		sallyport.CodeLimited: 429, sallyport.CodeUnavailable: 503, sallyport.CodeUnsupported: 422, sallyport.CodeInternal: 500, sallyport.CodeUncertain: 500} {
		d := explain(fmt.Errorf("do something: %w", sallyport.Errorf(code, "Words.", fmt.Errorf("a cause"))))
		if d.Status != want || d.Code != code || d.Detail != "Words." || d.Title == "" {
			t.Errorf("%s: %+v", code, d)
		}
	}
	if d := explain(fmt.Errorf("no words")); d.Status != 500 || strings.Contains(d.Detail, "no words") {
		t.Errorf("%+v", d)
	}
	if d := explain(sallyport.Errorf(sallyport.CodeInvalid, "Look.", admin.FieldErrors{"b": "B.", "a": "A."})); d.Status != 422 || len(d.Errors) != 2 || d.Errors[0].Field != "a" {
		t.Errorf("%+v", d)
	}
}
