// Package apitest holds the answers of a running server against the OpenAPI description that is
// published for it.
package apitest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// Spec is a description, checked to be valid itself.
type Spec struct {
	doc    *openapi3.T
	router routers.Router
}

// Load reads a description.
func Load(t testing.TB, file string) *Spec {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Fatal(err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &Spec{doc, router}
}

// Check holds one exchange against the description: the answer always, the request when it was
// accepted. An address that is not described is only right when it does not exist.
func (s *Spec) Check(t testing.TB, r *http.Request, body []byte, status int, header http.Header, answer []byte) {
	t.Helper()
	in := r.Clone(context.Background())
	in.Body = io.NopCloser(bytes.NewReader(body))
	in.URL.Scheme, in.URL.Host = "", "" // the description names no server
	route, params, err := s.router.FindRoute(in)
	if err != nil {
		if status != http.StatusNotFound && r.Method != http.MethodOptions {
			t.Errorf("%s %s is not described: %v", r.Method, r.URL.Path, err)
		}
		return
	}
	req := &openapi3filter.RequestValidationInput{Request: in, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}}
	if status == http.StatusOK {
		if err := openapi3filter.ValidateRequest(context.Background(), req); err != nil {
			t.Errorf("%s %s was accepted: %v", r.Method, r.URL.Path, err)
		}
	}
	err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: req, Status: status, Header: header, Body: io.NopCloser(bytes.NewReader(answer)),
	})
	if err != nil {
		t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
	}
}

// CheckSchema holds a decoded JSON value against a named schema.
func (s *Spec) CheckSchema(t testing.TB, name string, value any) {
	t.Helper()
	if err := s.doc.Components.Schemas[name].Value.VisitJSON(value); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}
