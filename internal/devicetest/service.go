// Package devicetest is the other end of the device protocol for tests of devices: a token service
// and an appliance in one, in memory, on loopback. It checks every signature, proof and seal with
// internal/deviceproto, so a device that passes here speaks the protocol. It is never part of a
// product: it holds what the real token service must not know.
package devicetest

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

// Service serves the device API, and the phone page when Page is set before its first request.
type Service struct {
	// Page holds the files below /authenticator/.
	Page fs.FS
	// PushURL is what config.json tells the page.
	PushURL string

	server *httptest.Server
	ctx    context.Context
	stop   context.CancelFunc

	mu         sync.Mutex
	changed    chan struct{} // closed and made anew whenever something below changes
	ahead      time.Duration // how far this clock is before the machine's
	down       bool
	dropped    int // answers that still get lost on the way
	enrolments map[sallyport.EnrolmentID]*Enrolment
	devices    map[sallyport.DeviceID]*device
	unclaimed  map[deviceproto.Serial]*unclaimed
	seen       map[string]bool // ids of authorizations
	problems   []string
}

type device struct {
	enrolment *Enrolment
	key       *ecdsa.PublicKey
	push      deviceproto.Push
	challenge *Challenge
	polls     int
}

// New starts a service on a free port of localhost. Close ends it.
func New() *Service {
	s := &Service{
		changed: make(chan struct{}), enrolments: map[sallyport.EnrolmentID]*Enrolment{},
		devices: map[sallyport.DeviceID]*device{}, seen: map[string]bool{},
		unclaimed: map[deviceproto.Serial]*unclaimed{},
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/enrolments/{tenant}/{id}", s.api(s.register))
	mux.HandleFunc("GET /v1/enrolments/{tenant}/{id}", s.api(s.status))
	mux.HandleFunc("GET /v1/challenges", s.api(s.asDevice(s.challenges)))
	mux.HandleFunc("POST /v1/challenges/{id}/answer", s.api(s.asDevice(s.answer)))
	mux.HandleFunc("PUT /v1/device/push", s.api(s.asDevice(s.setPush)))
	mux.HandleFunc("PUT /v1/device/app", s.api(s.asDevice(s.setApp)))
	mux.HandleFunc("DELETE /v1/device", s.api(s.asDevice(s.forget)))
	mux.HandleFunc("PUT /v1/unclaimed/{serial}", s.api(s.serialNumber(s.showSerial)))
	mux.HandleFunc("GET /v1/unclaimed/{serial}", s.api(s.serialNumber(s.invitations)))
	mux.HandleFunc("DELETE /v1/unclaimed/{serial}", s.api(s.serialNumber(s.hideSerial)))
	mux.HandleFunc("POST /v1/unclaimed/{serial}/invitations/{id}", s.api(s.serialNumber(s.answerInvitation)))
	mux.HandleFunc("GET /authenticator/", s.page)
	s.server = httptest.NewServer(mux)
	return s
}

// Close ends the service and waits for its requests.
func (s *Service) Close() {
	s.stop()
	s.server.CloseClientConnections()
	s.server.Close()
}

// URL is the device address.
func (s *Service) URL() string {
	return strings.Replace(s.server.URL, "127.0.0.1", "localhost", 1)
}

// SetAhead puts the service's clock before the machine's.
func (s *Service) SetAhead(d time.Duration) { s.change(func() { s.ahead = d }) }

// SetDown makes the service answer 503 to everything under /v1/, or stop doing so.
func (s *Service) SetDown(down bool) { s.change(func() { s.down = down }) }

// DropAnswers lets the next n answers of devices arrive, and loses what is said to them.
func (s *Service) DropAnswers(n int) { s.change(func() { s.dropped = n }) }

// Problems returns what devices did wrong: requests that the protocol does not know, or whose
// signature, proof or seal does not hold.
func (s *Service) Problems() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.problems...)
}

func (s *Service) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.ahead)
}

func (s *Service) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// await calls f under the lock after every change until it says done or ctx ends.
func (s *Service) await(ctx context.Context, f func() (done bool)) error {
	for {
		s.mu.Lock()
		done, changed := f(), s.changed
		s.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ctx.Done():
			return errors.New("service ended")
		}
	}
}

// api turns a handler's result into an answer: a value, nil for 204, or an error.
func (s *Service) api(h func(r *http.Request, body []byte) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
		w.Header().Set("Cache-Control", "no-store")
		s.mu.Lock()
		down := s.down
		s.mu.Unlock()
		if down {
			refuse(w, sallyport.Errorf(sallyport.CodeUnavailable, "The service is down.", nil))
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, deviceproto.MaxBody))
		if err != nil {
			refuse(w, sallyport.Errorf(sallyport.CodeInvalid, "The body is too long.", err))
			return
		}
		out, err := h(r, body)
		switch {
		case errors.Is(err, errLost):
			panic(http.ErrAbortHandler)
		case err != nil:
			s.note(r, err)
			refuse(w, err)
		case out == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			write(w, http.StatusOK, out)
		}
	}
}

// note keeps what must not happen with a device that works. Refusals that belong to the story
// (expired, taken, not there, a clock that is wrong) are none.
func (s *Service) note(r *http.Request, err error) {
	if sallyport.ErrorCode(err) == sallyport.CodeInvalid || sallyport.ErrorCode(err) == sallyport.CodeInternal {
		s.change(func() { s.problems = append(s.problems, r.Method+" "+r.URL.Path+": "+err.Error()) })
	}
}

func refuse(w http.ResponseWriter, err error) {
	status := map[sallyport.Code]int{
		sallyport.CodeDenied: 401, sallyport.CodeNotFound: 404, sallyport.CodeConflict: 409,
		sallyport.CodeExpired: 410, sallyport.CodeUnavailable: 503,
	}[sallyport.ErrorCode(err)]
	if status == 0 {
		status = http.StatusBadRequest
	}
	write(w, status, deviceproto.ErrorBody{Code: sallyport.ErrorCode(err), Message: sallyport.ErrorMessage(err)})
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that went away is not our trouble
}

// holding makes a context that ends when the request may be held no longer.
func holding(r *http.Request) (context.Context, context.CancelFunc) {
	wait, err := strconv.Atoi(r.URL.Query().Get("wait"))
	if err != nil || wait < 0 {
		wait = 0
	}
	return context.WithTimeout(r.Context(), min(time.Duration(wait)*time.Second, deviceproto.MaxWait))
}

func (s *Service) page(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self' "+s.PushURL)
	h.Set("X-Content-Type-Options", "nosniff")
	if r.URL.Path == deviceproto.PagePath+"config.json" {
		write(w, http.StatusOK, map[string]string{"pushURL": s.PushURL, "provider": "fcm"})
		return
	}
	if strings.HasSuffix(r.URL.Path, ".webmanifest") {
		h.Set("Content-Type", "application/manifest+json")
	}
	http.StripPrefix(deviceproto.PagePath, http.FileServerFS(s.Page)).ServeHTTP(w, r)
}
