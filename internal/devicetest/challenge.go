package devicetest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

var errLost = errors.New("the answer to the device gets lost")

// Challenge is one question to a device.
type Challenge struct {
	ID sallyport.ChallengeID

	service *Service
	device  sallyport.DeviceID
	sealed  []byte
	ends    time.Time
	over    bool
	box     []byte // as the device sent it
	reply   deviceproto.Answer
	posts   int
	// Which of the device's questions for challenges (counted from 1) first heard of this one, and
	// which then heard that it is there no more.
	shownAt, goneAt int
}

// Ask makes a challenge for the device of e, and pushes aside the one before.
func (s *Service) Ask(e *Enrolment, d sallyport.ChallengeDetails, life time.Duration) (*Challenge, error) {
	s.mu.Lock()
	dev := s.devices[e.device]
	id, keys := e.device, e.keys
	s.mu.Unlock()
	if dev == nil {
		return nil, errors.New("device has not enrolled")
	}
	c := &Challenge{ID: sallyport.ChallengeID(sallyport.NewID()), service: s, device: id, ends: time.Now().Add(life)}
	var err error
	if c.sealed, err = deviceproto.SealDetails(keys.Details, id, c.ID, d); err != nil {
		return nil, err
	}
	s.change(func() { dev.challenge = c })
	return c, nil
}

// Spoil edits the sealed details, as a hostile token service could.
func (c *Challenge) Spoil() { c.service.change(func() { c.sealed[len(c.sealed)-1] ^= 1 }) }

// Cancel ends the challenge without an answer.
func (c *Challenge) Cancel() { c.service.change(func() { c.over = true }) }

// Answer waits for the device's answer, opened and checked.
func (c *Challenge) Answer(ctx context.Context) (deviceproto.Answer, error) {
	var a deviceproto.Answer
	err := c.service.await(ctx, func() bool { a = c.reply; return c.box != nil })
	return a, err
}

// Posts is how often the device sent an answer.
func (c *Challenge) Posts() int {
	c.service.mu.Lock()
	defer c.service.mu.Unlock()
	return c.posts
}

// Shown waits until the device has heard of the challenge, and has asked again since.
func (c *Challenge) Shown(ctx context.Context) error {
	return c.service.await(ctx, func() bool { return c.shownAt > 0 && c.polls() > c.shownAt })
}

// Gone waits until the device has heard that the challenge is there no more, and has asked again since.
func (c *Challenge) Gone(ctx context.Context) error {
	return c.service.await(ctx, func() bool { return c.goneAt > 0 && c.polls() > c.goneAt })
}

// polls is under the lock.
func (c *Challenge) polls() int {
	if d := c.service.devices[c.device]; d != nil {
		return d.polls
	}
	return 0
}

func (c *Challenge) open() bool {
	return c != nil && !c.over && c.box == nil && time.Now().Before(c.ends)
}

// asDevice checks the authorization of a request and finds its device.
func (s *Service) asDevice(h func(*http.Request, *device, []byte) (any, error)) func(*http.Request, []byte) (any, error) {
	return func(r *http.Request, body []byte) (any, error) {
		request := deviceproto.Request{Audience: s.URL(), Method: r.Method, Path: r.URL.Path, Body: body}
		a, err := deviceproto.VerifyAuthorization(r.Header.Get("Authorization"), s.key, request, s.now())
		if err != nil {
			return nil, err
		}
		var dev *device
		s.change(func() {
			dev = s.devices[a.Device]
			switch {
			case dev == nil: // removed just now
				err = sallyport.Errorf(sallyport.CodeDenied, "The device is not known.", nil)
			case s.seen[a.ID]:
				err = sallyport.Errorf(sallyport.CodeDenied, "The authorization was used before.", nil)
			}
			s.seen[a.ID] = true
		})
		if err != nil {
			return nil, err
		}
		return h(r, dev, body)
	}
}

func (s *Service) key(tenant sallyport.TenantID, id sallyport.DeviceID) (*ecdsa.PublicKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.devices[id]; d != nil && tenant == Tenant {
		return d.key, nil
	}
	return nil, errors.New("device is not known")
}

func (s *Service) challenges(r *http.Request, dev *device, _ []byte) (any, error) {
	ctx, cancel := holding(r)
	defer cancel()
	list := deviceproto.PendingList{Challenges: []deviceproto.Pending{}}
	number := 0
	s.change(func() { dev.polls++; number = dev.polls })
	_ = s.await(ctx, func() bool { // the wait may end: none is an answer
		c := dev.challenge
		if c.open() {
			list.Challenges = []deviceproto.Pending{{ID: c.ID, RemainingMS: time.Until(c.ends).Milliseconds(), Sealed: deviceproto.Encode(c.sealed)}}
		}
		return c.open()
	})
	s.change(func() { dev.challenge.note(number, len(list.Challenges) > 0) })
	return list, nil
}

// note takes down what the answer to a poll told, whatever has become of the challenge since. It is
// under the lock.
func (c *Challenge) note(poll int, told bool) {
	switch {
	case c == nil:
	case told && c.shownAt == 0:
		c.shownAt = poll
	case !told && !c.open() && c.shownAt > 0 && c.goneAt == 0:
		c.goneAt = poll
	}
}

func (s *Service) answer(r *http.Request, dev *device, body []byte) (any, error) {
	var in deviceproto.AnswerBody
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "The answer is not JSON.", err)
	}
	box, err := deviceproto.Decode(in.Sealed)
	if err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "The answer is not base64url.", err)
	}
	s.change(func() { err = s.takeAnswer(r.PathValue("id"), dev, box) })
	return nil, err
}

// takeAnswer is under the lock.
func (s *Service) takeAnswer(id string, dev *device, box []byte) error {
	c := dev.challenge
	if c == nil || string(c.ID) != id {
		return sallyport.Errorf(sallyport.CodeExpired, "The challenge has ended.", nil)
	}
	c.posts++
	switch {
	case c.box != nil && !bytes.Equal(c.box, box):
		return sallyport.Errorf(sallyport.CodeConflict, "The challenge was answered otherwise.", nil)
	case c.box == nil && !c.open():
		return sallyport.Errorf(sallyport.CodeExpired, "The challenge has ended.", nil)
	case c.box == nil:
		e := dev.enrolment
		a, err := deviceproto.OpenAnswer(e.keys.Details, e.key, e.device, c.ID, box)
		if err != nil {
			return sallyport.Errorf(sallyport.CodeInvalid, "The answer does not hold.", err)
		}
		c.box, c.reply = box, a
	}
	if s.dropped > 0 {
		s.dropped--
		return errLost
	}
	return nil
}

func (s *Service) setPush(_ *http.Request, dev *device, body []byte) (any, error) {
	var p deviceproto.Push
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "The push address is not JSON.", err)
	}
	if err := p.Check(); err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "The push address is wrong.", err)
	}
	s.change(func() { dev.push = p })
	return nil, nil
}

func (s *Service) setApp(_ *http.Request, dev *device, body []byte) (any, error) {
	var in deviceproto.AppBody
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "What is said of the app is not JSON.", err)
	}
	box, err := deviceproto.DecodeApp(in.Sealed)
	if err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "What is said of the app is not base64url.", err)
	}
	e := dev.enrolment
	app, err := deviceproto.OpenApp(e.keys.Details, e.key, e.device, box)
	if err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "What is said of the app does not hold.", err)
	}
	s.change(func() { e.app = &app })
	return nil, nil
}

func (s *Service) forget(_ *http.Request, dev *device, _ []byte) (any, error) {
	s.change(func() { delete(s.devices, dev.enrolment.device) })
	return nil, nil
}
