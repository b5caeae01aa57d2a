package pushsim

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

// Google's limits ("FCM HTTP v1").
const (
	fcmMaxMessage = 4096
	fcmMaxTTL     = 28 * 24 * time.Hour
)

func (s *Sim) fcmHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", s.serveToken)
	mux.HandleFunc("POST /v1/projects/{project}/{method}", s.serveFCM)
	return mux
}

// fcmMessage is the part of FCM's Message that the simulator checks.
type fcmMessage struct {
	Token        string            `json:"token"`
	Data         map[string]string `json:"data"`
	Notification struct{ Title, Body string }
	Android      struct {
		Priority    string `json:"priority"`
		TTL         string `json:"ttl"`
		CollapseKey string `json:"collapse_key"`
	} `json:"android"`
}

func (s *Sim) serveFCM(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil {
		return
	}
	var in struct {
		Message fcmMessage `json:"message"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		refuseFCM(w, http.StatusBadRequest, "INVALID_ARGUMENT")
		return
	}
	m := in.Message
	if s.fault(w, r, FCM, m.Token, refuseFCM) {
		return
	}
	if status, code := s.checkFCM(r, m); status != 0 {
		refuseFCM(w, status, code)
		return
	}
	life, _ := time.ParseDuration(m.Android.TTL)
	s.book.accept(Push{
		Provider: FCM, Token: m.Token, At: s.now(), Title: m.Notification.Title, Body: m.Notification.Body, Data: m.Data,
		CollapseID: m.Android.CollapseKey, Expires: s.now().Add(life), Priority: m.Android.Priority, Raw: body,
	})
	writeJSON(w, http.StatusOK, map[string]string{"name": "projects/" + s.Project + "/messages/" + m.Data["c"]})
}

func (s *Sim) checkFCM(r *http.Request, m fcmMessage) (status int, code string) {
	bearer, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !found || !s.tokenHolds(bearer) {
		return http.StatusUnauthorized, "UNAUTHENTICATED"
	}
	if r.PathValue("project") != s.Project {
		return http.StatusForbidden, "PERMISSION_DENIED"
	}
	if r.PathValue("method") != "messages:send" {
		return http.StatusNotFound, "NOT_FOUND"
	}
	if m.Token == "" || m.size() > fcmMaxMessage || !m.ttlHolds() {
		return http.StatusBadRequest, "INVALID_ARGUMENT"
	}
	switch strings.ToLower(m.Android.Priority) {
	case "", "high", "normal":
	default:
		return http.StatusBadRequest, "INVALID_ARGUMENT"
	}
	if !strings.HasPrefix(m.Token, "sim:") {
		return http.StatusBadRequest, "INVALID_ARGUMENT"
	}
	if known, unregistered := s.book.look(FCM, m.Token); !known || !unregistered.IsZero() {
		return http.StatusNotFound, "UNREGISTERED"
	}
	return 0, ""
}

// size is what Google counts against its limit: notification and data.
func (m fcmMessage) size() int {
	n := len(m.Notification.Title) + len(m.Notification.Body)
	for k, v := range m.Data {
		n += len(k) + len(v)
	}
	return n
}

func (m fcmMessage) ttlHolds() bool {
	if m.Android.TTL == "" {
		return true
	}
	d, err := time.ParseDuration(m.Android.TTL)
	return err == nil && strings.HasSuffix(m.Android.TTL, "s") && d >= 0 && d <= fcmMaxTTL
}

// refuseFCM answers in the form of Google's APIs; code is FCM's, or a status of google.rpc.Code.
func refuseFCM(w http.ResponseWriter, status int, code string) {
	rpc := map[string]string{
		"UNREGISTERED": "NOT_FOUND", "SENDER_ID_MISMATCH": "PERMISSION_DENIED", "QUOTA_EXCEEDED": "RESOURCE_EXHAUSTED",
		"THIRD_PARTY_AUTH_ERROR": "UNAUTHENTICATED",
	}[code]
	if rpc == "" {
		rpc = code
	}
	body := map[string]any{"code": status, "message": "Refused by the simulator.", "status": rpc}
	switch code {
	case "UNREGISTERED", "SENDER_ID_MISMATCH", "QUOTA_EXCEEDED", "THIRD_PARTY_AUTH_ERROR", "UNAVAILABLE", "INTERNAL", "INVALID_ARGUMENT":
		body["details"] = []map[string]string{{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}}
	}
	writeJSON(w, status, map[string]any{"error": body})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
