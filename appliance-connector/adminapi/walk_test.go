package adminapi

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/openapi"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

// described is one operation of the description, with what it takes to hold exchanges against it.
type described struct {
	*openapi3.Operation
	method string
	route  *routers.Route
	permit admin.Operation
}

// walk returns every operation of the description, which is valid itself.
func walk(t testing.TB) []described {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.Admin())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Fatal(err)
	}
	var out []described
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			permit, _ := op.Extensions["x-permission"].(string)
			out = append(out, described{op, method, &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: op}, admin.Operation(permit)})
		}
	}
	slices.SortFunc(out, func(a, b described) int { return strings.Compare(a.OperationID, b.OperationID) })
	return out
}

// holds holds an answer against the description: its status is listed, its headers and body are as described.
func (d described) holds(t testing.TB, a answer) {
	t.Helper()
	if d.Responses.Status(a.StatusCode) == nil {
		t.Errorf("%s: status %d is not described: %s", d.OperationID, a.StatusCode, a.body)
		return
	}
	req := &openapi3filter.RequestValidationInput{Request: a.Request, Route: d.route, Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}}
	err := openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{RequestValidationInput: req, Status: a.StatusCode, Header: a.Header,
		Body: io.NopCloser(bytes.NewReader(a.body)), Options: req.Options})
	if err != nil {
		t.Errorf("%s %d: %v", d.OperationID, a.StatusCode, err)
	}
}

// refused holds a refusal against the description, too.
func (d described) refused(t testing.TB, what string, a answer, want ...int) {
	t.Helper()
	if !slices.Contains(want, a.StatusCode) {
		t.Errorf("%s, %s: %d %s, want %v", d.OperationID, what, a.StatusCode, a.body, want)
	}
	d.holds(t, a)
	if p := a.problem(t); p.Status != a.StatusCode || p.Detail == "" || p.SupportCode == "" || p.Type != "/account/api/problems/"+string(p.Code) || !strings.HasPrefix(p.Instance, Prefix) {
		t.Errorf("%s, %s: %+v", d.OperationID, what, p)
	}
}

func everyRole() []sallyport.Role {
	return []sallyport.Role{sallyport.RoleSuper, sallyport.RoleAdmin, sallyport.RoleHelpDesk, sallyport.RoleAuditor}
}

// Every operation is served to whom the table of permissions lets, and to nobody else.
func TestEveryOperationIsServedToWhomItIsDescribedFor(t *testing.T) {
	w := newWorld(t)
	w.administrator("limited", sallyport.RoleAdmin, sallyport.Scope{OUs: []string{"OU=Ward,DC=hospital,DC=test"}})
	all := samples()
	for _, d := range walk(t) {
		prepare, known := all[d.OperationID]
		if !known {
			t.Errorf("%s has no sample", d.OperationID)
			continue
		}
		delete(all, d.OperationID)
		if d.permit == "" {
			s := prepare(w)
			a := w.ask(d.method, s.path, "", "")
			if a.StatusCode != http.StatusOK {
				t.Errorf("%s: %d %s", d.OperationID, a.StatusCode, a.body)
			}
			d.holds(t, a)
			continue
		}
		w.served(t, d, prepare)
		w.kept(t, d, prepare(w))
	}
	for id := range all {
		t.Errorf("the sample %s is of no operation", id)
	}
	for _, secret := range []string{bindPassword, gateSecret, "another-secret-0123456789", "sallyport_super"} {
		if strings.Contains(w.logs.String(), secret) {
			t.Errorf("the log shows %q", secret)
		}
	}
}

// served asks with tokens of every role, that may write and that may only read.
func (w *world) served(t *testing.T, d described, prepare func(*world) sample) {
	t.Helper()
	for _, role := range everyRole() {
		for _, access := range []sallyport.TokenAccess{sallyport.TokenReads, sallyport.TokenWrites} {
			s := prepare(w)
			a := w.ask(d.method, s.path, bearer(string(role), access), s.body, s.headers()...)
			may := slices.Contains(admin.Roles(d.permit), role) && (access == sallyport.TokenWrites || admin.Reads(d.permit))
			if !may {
				d.refused(t, string(role)+" who may "+string(access), a, http.StatusForbidden)
				continue
			}
			if want := max(s.status, http.StatusOK); a.StatusCode != want {
				t.Errorf("%s by %s: %d %s, want %d", d.OperationID, role, a.StatusCode, a.body, want)
			}
			d.holds(t, a)
			for _, secret := range []string{bindPassword, gateSecret, "another-secret-0123456789"} {
				if bytes.Contains(a.body, []byte(secret)) {
					t.Errorf("%s shows %q", d.OperationID, secret)
				}
			}
		}
	}
}

// kept asks as somebody who may not at all.
func (w *world) kept(t *testing.T, d described, s sample) {
	t.Helper()
	a := w.ask(d.method, s.path, "", s.body, s.headers()...)
	d.refused(t, "no token", a, http.StatusUnauthorized)
	if a.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("%s: no WWW-Authenticate", d.OperationID)
	}
	limited := sallyport.Actor{Kind: sallyport.ActorToken, Role: sallyport.RoleAdmin, Scope: sallyport.Scope{OUs: []string{"OU=Ward"}}}
	if admin.May(limited, d.permit) != nil {
		a = w.ask(d.method, s.path, bearer("limited", sallyport.TokenWrites), s.body, s.headers()...)
		d.refused(t, "somebody who looks after some users", a, http.StatusForbidden)
	}
}

// Every operation refuses what is not as it is described, before it does anything.
func TestEveryOperationRefusesWhatIsNotDescribed(t *testing.T) {
	w := newWorld(t)
	all, token := samples(), bearer("super", sallyport.TokenWrites)
	for _, d := range walk(t) {
		s := all[d.OperationID](w)
		ask := func(path, body string, headers ...string) answer {
			return w.ask(d.method, path, token, body, append(s.headers(), headers...)...)
		}
		separator := "?"
		if strings.Contains(s.path, "?") {
			separator = "&"
		}
		d.refused(t, "a parameter that there is not", ask(s.path+separator+"nonsense=1", s.body), http.StatusBadRequest)
		if d.RequestBody == nil {
			if d.method != http.MethodGet {
				d.refused(t, "a body that nobody asked for", ask(s.path, `{}`), http.StatusBadRequest)
			}
		} else {
			d.refused(t, "no JSON", ask(s.path, `{"name":`), http.StatusBadRequest)
			d.refused(t, "two values", ask(s.path, s.body+`{}`), http.StatusBadRequest)
			d.refused(t, "nesting", ask(s.path, strings.Repeat("[", 100)+strings.Repeat("]", 100)), http.StatusBadRequest)
			d.refused(t, "null", ask(s.path, `null`), http.StatusUnprocessableEntity)
			d.refused(t, "an unknown field", ask(s.path, `{"nonsense":1,`+s.body[1:]), http.StatusUnprocessableEntity)
			d.refused(t, "another content type", ask(s.path, s.body, "Content-Type", "text/plain"), http.StatusUnsupportedMediaType)
			d.refused(t, "a form", ask(s.path, s.body, "Content-Type", "application/x-www-form-urlencoded"), http.StatusUnsupportedMediaType)
			d.refused(t, "a long body", ask(s.path, `{"name":"`+strings.Repeat("x", maxBody)+`"}`), http.StatusRequestEntityTooLarge)
		}
		if s.version != 0 {
			d.refused(t, "no If-Match", w.ask(d.method, s.path, token, s.body), http.StatusPreconditionRequired)
			for _, tag := range []string{`"999999"`, "*", `W/"1"`, `"0"`, `"1", "2"`, "1", `"-1"`, `"x"`} {
				d.refused(t, "If-Match "+tag, ask(s.path, s.body, "If-Match", tag), http.StatusPreconditionFailed)
			}
		}
	}
}
