package pushsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// controlHandler serves people and programs that drive the simulator, and phones:
//
//	POST /register[?provider=apns|fcm]  -> {"provider", "token"}: a new address
//	GET  /listen?token=...              -> server-sent events: what is sent to it
//	GET, DELETE /control/pushes         what was accepted
//	POST, DELETE /control/faults        a Fault to provoke; none any more
//	POST /control/unregister?token=...  the app was deleted from the phone
//	POST /control/freeze?provider=...   open connections go dead
func (s *Sim) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /register", s.serveRegister)
	mux.HandleFunc("GET /listen", s.serveListen)
	mux.HandleFunc("GET /control/pushes", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.Pushes()) })
	mux.HandleFunc("DELETE /control/pushes", func(w http.ResponseWriter, _ *http.Request) {
		s.Forget()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /control/faults", s.serveFault)
	mux.HandleFunc("DELETE /control/faults", func(w http.ResponseWriter, _ *http.Request) {
		s.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /control/unregister", func(w http.ResponseWriter, r *http.Request) {
		s.Unregister(r.URL.Query().Get("token"))
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /control/freeze", func(w http.ResponseWriter, r *http.Request) {
		s.Freeze(Provider(r.URL.Query().Get("provider")))
		w.WriteHeader(http.StatusNoContent)
	})
	return crossOrigin(mux)
}

// crossOrigin lets the phone page, which comes from the token service, talk to the simulator.
func crossOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		if r.Method == http.MethodOptions {
			w.Header().Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
			w.Header().Set("Access-Control-Allow-Headers", "Content-Type")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Sim) serveRegister(w http.ResponseWriter, r *http.Request) {
	p := Provider(r.URL.Query().Get("provider"))
	if p != APNs {
		p = FCM
	}
	token := s.Register(p)
	if token == "" {
		http.Error(w, "too many phones", http.StatusServiceUnavailable)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"provider": string(p), "token": token})
}

func (s *Sim) serveFault(w http.ResponseWriter, r *http.Request) {
	var f Fault
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 8<<10)).Decode(&f); err != nil {
		http.Error(w, "not a fault", http.StatusBadRequest)
		return
	}
	s.AddFault(f)
	w.WriteHeader(http.StatusNoContent)
}

// serveListen is the phone's connection to its provider.
func (s *Sim) serveListen(w http.ResponseWriter, r *http.Request) {
	messages, stop, ok := s.Listen(r.URL.Query().Get("token"))
	if !ok {
		http.Error(w, "this address is not registered", http.StatusNotFound)
		return
	}
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	flush := http.NewResponseController(w)
	beat := time.NewTicker(10 * time.Second)
	defer beat.Stop()
	line := ": listening\n\n"
	for {
		if _, err := fmt.Fprint(w, line); err != nil || flush.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			line = ":\n\n"
		case p := <-messages:
			text, err := json.Marshal(map[string]any{"title": p.Title, "body": p.Body, "data": p.Data})
			if err != nil {
				return
			}
			line = "data: " + string(text) + "\n\n"
		}
	}
}
