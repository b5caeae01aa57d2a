// Package adminapi is the administrative HTTP API: JSON under /api/v1 of the console's listener, for programs that
// do what administrators do. Like the console it reads a request, calls one method of admin.Service, and shows
// the result (docs/decisions/0008-administration.md); it asks no store, decides nothing about who may do what, and
// keeps nothing of an answer.
//
// It serves what api/openapi/admin.yaml describes: New walks the description and gives every operation its handler,
// and refuses to begin when one of the two has what the other has not. Parameters and bodies are held against it
// before a handler sees them. How a program uses it stands in docs/admin/api.md.
//
// Who asks is shown by an API token in Authorization and by nothing else: a browser's cookies are not looked at,
// so that no other site's page can have a browser ask.
package adminapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/sallyport/sallyport/api/openapi"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

// Prefix begins every path of the API.
const Prefix = "/api/v1"

// Config is how the API is served. Admin and Log are required.
type Config struct {
	Admin *admin.Service
	Now   func() time.Time // nil: the system's
	Log   *slog.Logger
}

// Server is the API. It is safe for concurrent use.
type Server struct {
	cfg   Config
	admin *admin.Service
	log   *slog.Logger
	echo  *echo.Echo
	spec  []byte
	pace  pace
	// long bounds the exports and verifications that are under way, busy all requests.
	long, busy chan struct{}
}

// handler does one operation.
type handler func(*call) error

// New makes the API.
func New(cfg Config) (*Server, error) {
	if cfg.Admin == nil || cfg.Log == nil {
		return nil, errors.New("make administrative API: it needs administration and a log")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{cfg: cfg, admin: cfg.Admin, log: cfg.Log, echo: echo.New(), spec: openapi.Admin(), pace: newPace(cfg.Now),
		long: make(chan struct{}, maxLong), busy: make(chan struct{}, maxBusy)}
	doc, err := openapi3.NewLoader().LoadFromData(s.spec)
	if err != nil {
		return nil, fmt.Errorf("read description of administrative API: %w", err)
	}
	s.echo.HTTPErrorHandler = s.fail
	s.echo.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{
		DisablePrintStack: true,
		LogErrorFunc: func(_ echo.Context, err error, stack []byte) error {
			return fmt.Errorf("handler panicked: %w\n%s", err, stack)
		},
	}), secure, s.admit)
	return s, s.mount(doc)
}

// ServeHTTP answers a request whose path begins with Prefix.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// mount gives every operation of the description its handler.
func (s *Server) mount(doc *openapi3.T) error {
	handlers := s.handlers()
	for path, item := range doc.Paths.Map() {
		for method, described := range item.Operations() {
			h, known := handlers[described.OperationID]
			if !known {
				return fmt.Errorf("%s %s: operation %q has no handler", method, path, described.OperationID)
			}
			delete(handlers, described.OperationID)
			op, err := newOperation(item, described)
			if err != nil {
				return fmt.Errorf("%s %s: %w", method, path, err)
			}
			s.echo.Add(method, Prefix+routePath(path), func(c echo.Context) error { return s.serve(c, op, h) })
		}
	}
	for id := range handlers {
		return fmt.Errorf("operation %q is not described", id)
	}
	return nil
}

// handlers are those of all operations, by their id.
func (s *Server) handlers() map[string]handler {
	all := map[string]handler{"getDescription": (*call).description}
	for _, of := range []map[string]handler{
		userHandlers(), otpTokenHandlers(), policyHandlers(), workflowHandlers(), enrolRuleHandlers(), integrationHandlers(), domainHandlers(), tokenServerHandlers(),
		loginHandlers(), auditHandlers(), reportHandlers(), overviewHandlers(), administratorHandlers(), smsHandlers(),
		factorHandlers(), grantHandlers(), settingHandlers(), applianceHandlers(), siteHandlers(),
	} {
		for id, h := range of {
			all[id] = h
		}
	}
	return all
}

// routePath writes "/users/{user}" as the router has it: "/users/:user".
func routePath(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if name, found := strings.CutPrefix(p, "{"); found {
			parts[i] = ":" + strings.TrimSuffix(name, "}")
		}
	}
	return strings.Join(parts, "/")
}

// operation is what the description says of one.
type operation struct {
	permission admin.Operation // empty: anybody may
	// params are by name; those in the query are also in query.
	params  []*openapi3.Parameter
	query   []string
	body    *openapi3.Schema // nil: it takes none
	ifMatch bool
	timeout time.Duration
	long    bool
}

// usualTime is how long an operation may take that the description gives no other time.
const usualTime = 20 * time.Second

func newOperation(item *openapi3.PathItem, described *openapi3.Operation) (*operation, error) {
	op := &operation{timeout: usualTime}
	if permission, ok := described.Extensions["x-permission"].(string); ok {
		op.permission = admin.Operation(permission)
	}
	public := described.Security != nil && len(*described.Security) == 0
	if public != (op.permission == "") || !public && len(admin.Roles(op.permission)) == 0 {
		return nil, fmt.Errorf("x-permission %q is none", op.permission)
	}
	if seconds, ok := described.Extensions["x-timeout"].(float64); ok {
		op.timeout = time.Duration(seconds) * time.Second
		op.long = op.timeout > longTime
	}
	for _, p := range slices.Concat(item.Parameters, described.Parameters) {
		switch {
		case p.Value.In == openapi3.ParameterInQuery:
			op.query = append(op.query, p.Value.Name)
		case p.Value.In == openapi3.ParameterInHeader && p.Value.Name == "If-Match":
			op.ifMatch = true
			continue
		case p.Value.In != openapi3.ParameterInPath:
			return nil, fmt.Errorf("parameter %q is in %s", p.Value.Name, p.Value.In)
		}
		op.params = append(op.params, p.Value)
	}
	if described.RequestBody != nil {
		media := described.RequestBody.Value.Content.Get("application/json")
		if media == nil || media.Schema == nil {
			return nil, errors.New("the body is not application/json")
		}
		op.body = media.Schema.Value
	}
	return op, nil
}

// description serves the description itself.
func (c *call) description() error {
	return c.Blob(http.StatusOK, "application/yaml", c.s.spec)
}

// serve does one operation: who asks, what they may, what they sent, and then the handler.
func (s *Server) serve(ec echo.Context, op *operation, h handler) error {
	ctx, cancel := context.WithTimeout(ec.Request().Context(), op.timeout)
	defer cancel()
	ec.SetRequest(ec.Request().WithContext(ctx))
	c := &call{Context: ec, s: s, op: op, values: map[string]string{}}
	if op.permission != "" {
		if err := c.authenticate(); err != nil {
			return err
		}
		if err := admin.May(c.actor, op.permission); err != nil {
			return err
		}
	}
	if op.long {
		release, err := s.takeLong(ec)
		if err != nil {
			return err
		}
		defer release()
		c.extend(op.timeout)
	}
	if err := c.readParameters(); err != nil {
		return err
	}
	if err := c.readVersion(); err != nil {
		return err
	}
	if err := c.readBody(); err != nil {
		return err
	}
	return h(c)
}
