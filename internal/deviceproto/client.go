package deviceproto

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport"
)

// Client speaks the device API for one enrolled (or enrolling) device. Its errors are
// *sallyport.Error where the service answered. It may be used from several goroutines.
type Client struct {
	// Base is the device address out of the link.
	Base   string
	Tenant sallyport.TenantID
	Key    crypto.Signer
	HTTP   *http.Client
	Now    func() time.Time

	// ahead is how far the service's clock is before ours, in seconds, as learned from a refusal.
	ahead atomic.Int64
}

// Device is the name of the device that the client speaks for; "" when its key is not on P-256.
func (c *Client) Device() sallyport.DeviceID {
	id, err := deviceOf(c.Key)
	if err != nil {
		return ""
	}
	return id
}

// About describes the device to its owner and to the help desk.
type About struct {
	Name       string
	Platform   string
	AppVersion string
	Push       Push
	// App is from SealApp; nil: the appliance is told nothing of the app.
	App []byte
	// Attestation is what the phone's maker says of the app; nil: nothing.
	Attestation *Attestation
}

// Register answers the invitation of a link. It may be repeated.
func (c *Client) Register(ctx context.Context, enrolment sallyport.EnrolmentID, proofKey sallyport.Key, a About) error {
	pub, ok := c.Key.Public().(*ecdsa.PublicKey)
	if !ok {
		return errors.New("device key is not an EC key")
	}
	jwk, err := NewJWK(pub)
	if err != nil {
		return err
	}
	e := Enrolling{Tenant: c.Tenant, Enrolment: enrolment, Device: Thumbprint(pub), Name: a.Name, Platform: a.Platform}
	r := Registration{
		JWK: jwk, Name: a.Name, Platform: a.Platform, AppVersion: a.AppVersion, Push: a.Push, App: Encode(a.App),
		Proof: Encode(e.Proof(proofKey)), Attestation: a.Attestation,
	}
	var done Registered
	if err := c.call(ctx, http.MethodPost, c.enrolmentPath(enrolment), nil, r, &done); err != nil {
		return fmt.Errorf("register device: %w", err)
	}
	if done.Device != e.Device {
		return errors.New("register device: the service took us for another device")
	}
	return nil
}

// EnrolmentStatus asks, and waits up to wait, whether the appliance accepted the device.
func (c *Client) EnrolmentStatus(ctx context.Context, enrolment sallyport.EnrolmentID, wait time.Duration) (EnrolmentStatus, error) {
	var s EnrolmentStatus
	if err := c.call(ctx, http.MethodGet, c.enrolmentPath(enrolment), waitQuery(wait), nil, &s); err != nil {
		return EnrolmentStatus{}, fmt.Errorf("ask for enrolment: %w", err)
	}
	return s, nil
}

// Challenges returns what waits for the device, at most one; with none it waits up to wait for one.
func (c *Client) Challenges(ctx context.Context, wait time.Duration) ([]Pending, error) {
	var l PendingList
	if err := c.call(ctx, http.MethodGet, "/v1/challenges", waitQuery(wait), nil, &l); err != nil {
		return nil, fmt.Errorf("ask for challenges: %w", err)
	}
	return l.Challenges, nil
}

// Answer sends what SealAnswer made.
func (c *Client) Answer(ctx context.Context, id sallyport.ChallengeID, box []byte) error {
	path := "/v1/challenges/" + url.PathEscape(string(id)) + "/answer"
	if err := c.call(ctx, http.MethodPost, path, nil, AnswerBody{Sealed: Encode(box)}, nil); err != nil {
		return fmt.Errorf("answer challenge: %w", err)
	}
	return nil
}

// SetPush tells the service the device's new push address.
func (c *Client) SetPush(ctx context.Context, p Push) error {
	if err := c.call(ctx, http.MethodPut, "/v1/device/push", nil, p, nil); err != nil {
		return fmt.Errorf("set push address: %w", err)
	}
	return nil
}

// SetApp sends what SealApp made, for the appliance to ask for.
func (c *Client) SetApp(ctx context.Context, box []byte) error {
	if err := c.call(ctx, http.MethodPut, "/v1/device/app", nil, AppBody{Sealed: Encode(box)}, nil); err != nil {
		return fmt.Errorf("tell of app: %w", err)
	}
	return nil
}

// Forget makes the service forget the device. The appliance learns nothing by it.
func (c *Client) Forget(ctx context.Context) error {
	if err := c.call(ctx, http.MethodDelete, "/v1/device", nil, nil, nil); err != nil {
		return fmt.Errorf("forget device: %w", err)
	}
	return nil
}

// ShowSerial tells the service that the app shows its serial number, made of the client's key and box, and is to be
// found by it. The client's Tenant is UnclaimedTenant.
func (c *Client) ShowSerial(ctx context.Context, box *ecdsa.PublicKey) (Serial, error) {
	pub, ok := c.Key.Public().(*ecdsa.PublicKey)
	if !ok {
		return "", errors.New("device key is not an EC key")
	}
	var app UnclaimedApp
	var err error
	if app.JWK, err = NewJWK(pub); err != nil {
		return "", err
	}
	if app.Box, err = NewJWK(box); err != nil {
		return "", err
	}
	s := SerialOf(pub, box)
	if err := c.call(ctx, http.MethodPut, unclaimedPath(s), nil, app, nil); err != nil {
		return "", fmt.Errorf("show serial number: %w", err)
	}
	return s, nil
}

// Invitations returns what waits for the app of a serial number, at most one; with none it waits up to wait for one.
// Asking keeps the serial number.
func (c *Client) Invitations(ctx context.Context, s Serial, wait time.Duration) ([]PendingInvitation, error) {
	var l InvitationList
	if err := c.call(ctx, http.MethodGet, unclaimedPath(s), waitQuery(wait), nil, &l); err != nil {
		return nil, fmt.Errorf("ask for invitations: %w", err)
	}
	return l.Invitations, nil
}

// AnswerInvitation sends what Invitation.Verdict made.
func (c *Client) AnswerInvitation(ctx context.Context, s Serial, id string, verdict []byte) error {
	path := unclaimedPath(s) + "/invitations/" + url.PathEscape(id)
	if err := c.call(ctx, http.MethodPost, path, nil, VerdictBody{Sealed: Encode(verdict)}, nil); err != nil {
		return fmt.Errorf("answer invitation: %w", err)
	}
	return nil
}

// HideSerial ends a serial number: the app does not show it any more.
func (c *Client) HideSerial(ctx context.Context, s Serial) error {
	if err := c.call(ctx, http.MethodDelete, unclaimedPath(s), nil, nil, nil); err != nil {
		return fmt.Errorf("hide serial number: %w", err)
	}
	return nil
}

func unclaimedPath(s Serial) string { return "/v1/unclaimed/" + url.PathEscape(string(s)) }

func (c *Client) enrolmentPath(e sallyport.EnrolmentID) string {
	return "/v1/enrolments/" + url.PathEscape(string(c.Tenant)) + "/" + url.PathEscape(string(e))
}

func waitQuery(wait time.Duration) url.Values {
	wait = min(max(wait, 0), MaxWait)
	return url.Values{"wait": {strconv.Itoa(int(wait / time.Second))}}
}

// call makes one exchange; when the service refuses it and its clock is off ours, it corrects by the
// service's Date and asks once more.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
	}
	answer, err := c.exchange(ctx, method, path, query, body)
	if err == nil && answer.status == http.StatusUnauthorized && c.adjust(answer.date) {
		answer, err = c.exchange(ctx, method, path, query, body)
	}
	if err != nil {
		return err
	}
	if answer.status >= 300 {
		return answer.refusal()
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer.body, out); err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	return nil
}

type reply struct {
	status int
	date   string
	body   []byte
}

func (c *Client) exchange(ctx context.Context, method, path string, query url.Values, body []byte) (reply, error) {
	base := strings.TrimRight(c.Base, "/")
	target := base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return reply{}, fmt.Errorf("make request: %w", err)
	}
	now := c.Now().Add(time.Duration(c.ahead.Load()) * time.Second)
	header, err := Authorize(c.Key, c.Tenant, Request{Audience: base, Method: method, Path: path, Body: body}, now)
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Authorization", header)
	req.Header.Set("Accept", "application/json")
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return reply{}, sallyport.Errorf(sallyport.CodeUnavailable, "The token service cannot be reached. Check the connection and try again.", err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, MaxBody+1))
	if err != nil {
		return reply{}, sallyport.Errorf(sallyport.CodeUnavailable, "The token service broke off its answer. Try again.", err)
	}
	if len(text) > MaxBody {
		return reply{}, errors.New("answer is too long")
	}
	return reply{status: resp.StatusCode, date: resp.Header.Get("Date"), body: text}, nil
}

// adjust learns the service's clock and reports whether that is news.
func (c *Client) adjust(date string) bool {
	there, err := http.ParseTime(date)
	if err != nil {
		return false
	}
	ahead := int64(there.Sub(c.Now()) / time.Second)
	change := ahead - c.ahead.Swap(ahead)
	return change > 5 || change < -5
}

// refusal is the service's error, or one by the status when a proxy answered in its place.
func (r reply) refusal() error {
	var b ErrorBody
	if err := json.Unmarshal(r.body, &b); err == nil && b.Code != "" {
		return &sallyport.Error{Code: b.Code, Message: b.Message, SupportCode: b.SupportCode}
	}
	code := sallyport.CodeInvalid
	if r.status >= 500 {
		code = sallyport.CodeUnavailable
	}
	return sallyport.Errorf(code, "The token service refused the request.", fmt.Errorf("status %d", r.status))
}
