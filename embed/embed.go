// Package embed serves the login overlay to the gateways' pages and makes the integration script
// that an administrator pastes. A page pins its script by hash, so a published script never changes:
// its address is the hash of its content, and each one stays served for as long as a page may ask.
//
// Scripts come from three places, all checked against the hash in the address: the overlay of this
// release, the folder published/ of older releases, and an archive that the replicas share, so that
// during an upgrade a replica of either release serves the scripts of both.
package embed

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/web"
)

//go:embed published
var published embed.FS

// Archive keeps published scripts for all replicas.
type Archive interface {
	Keep(ctx context.Context, sha256 string, script []byte) error
	// Load returns nil when there is none.
	Load(ctx context.Context, sha256 string) ([]byte, error)
}

// script is one published script, ready to be sent.
type script struct {
	plain, gzip []byte
	hash        string // SHA-256, hexadecimal
}

func newScript(data []byte) (*script, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return &script{plain: data, gzip: b.Bytes(), hash: hashOf(data)}, nil
}

func hashOf(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

// maxLoaded bounds how many scripts of the archive are held in memory, and maxScript their size.
const (
	maxLoaded = 32
	maxScript = 256 << 10
)

// Server serves scripts below /embed/v1/.
type Server struct {
	archive Archive

	mu      sync.RWMutex
	scripts map[string]*script
}

// NewServer makes a Server; archive may be nil. The overlay of this release is put into the archive.
func NewServer(ctx context.Context, archive Archive) (*Server, error) {
	folder, err := fs.Sub(published, "published")
	if err != nil {
		return nil, fmt.Errorf("open published scripts: %w", err)
	}
	s := &Server{archive: archive, scripts: make(map[string]*script)}
	if err := s.loadFolder(folder); err != nil {
		return nil, err
	}
	current, err := newScript(web.Overlay())
	if err != nil {
		return nil, fmt.Errorf("compress overlay: %w", err)
	}
	s.scripts[current.hash] = current
	if archive != nil {
		if err := archive.Keep(ctx, current.hash, current.plain); err != nil {
			return nil, fmt.Errorf("publish overlay: %w", err)
		}
	}
	return s, nil
}

// loadFolder reads the scripts of older releases: <sha256>.js each. One that was changed is an error.
func (s *Server) loadFolder(folder fs.FS) error {
	names, err := fs.Glob(folder, "*.js")
	if err != nil {
		return fmt.Errorf("list published scripts: %w", err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(folder, name)
		if err != nil {
			return fmt.Errorf("read published script: %w", err)
		}
		sc, err := newScript(data)
		if err != nil {
			return fmt.Errorf("compress published script: %w", err)
		}
		if name != sc.hash+".js" {
			return fmt.Errorf("published script %s was changed: its content has the hash %s", name, sc.hash)
		}
		s.scripts[sc.hash] = sc
	}
	return nil
}

// Prefix is where Server wants to be mounted.
const Prefix = "/embed/v1/"

func address(hash string) string { return Prefix + hash + "/f5.js" }

// ServeHTTP answers GET and HEAD of /embed/v1/<sha256>/f5.js.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "This address takes GET and HEAD only.", http.StatusMethodNotAllowed)
		return
	}
	hash, ok := hashIn(r.URL.Path)
	if !ok {
		notFound(w)
		return
	}
	sc, err := s.find(r.Context(), hash)
	switch {
	case err != nil:
		h.Set("Cache-Control", "no-store")
		http.Error(w, "The script cannot be fetched now. Please try again.", http.StatusServiceUnavailable)
	case sc == nil:
		notFound(w)
	default:
		sc.serve(w, r)
	}
}

func notFound(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, "There is no such script.", http.StatusNotFound)
}

func hashIn(path string) (string, bool) {
	hash, ok := strings.CutSuffix(strings.TrimPrefix(path, Prefix), "/f5.js")
	if !ok || len(hash) != hex.EncodedLen(sha256.Size) || strings.Trim(hash, "0123456789abcdef") != "" {
		return "", false
	}
	return hash, true
}

func (s *Server) find(ctx context.Context, hash string) (*script, error) {
	s.mu.RLock()
	sc := s.scripts[hash]
	s.mu.RUnlock()
	if sc != nil || s.archive == nil {
		return sc, nil
	}
	data, err := s.archive.Load(ctx, hash)
	if err != nil {
		return nil, fmt.Errorf("read script archive: %w", err)
	}
	// The address says what the content has to be: nobody can slip another script in.
	if data == nil || len(data) > maxScript || hashOf(data) != hash {
		return nil, nil
	}
	if sc, err = newScript(data); err != nil {
		return nil, fmt.Errorf("compress script: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.scripts) < maxLoaded {
		s.scripts[hash] = sc
	}
	return sc, nil
}

func (sc *script) serve(w http.ResponseWriter, r *http.Request) {
	data, tag := sc.plain, `"`+sc.hash+`"`
	h := w.Header()
	if acceptsGzip(r.Header.Get("Accept-Encoding")) {
		data, tag = sc.gzip, `"`+sc.hash+`-gzip"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", tag)
	if strings.Contains(r.Header.Get("If-None-Match"), sc.hash) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write(data) // a page that has gone is no error of ours
	}
}

// acceptsGzip reads Accept-Encoding (RFC 9110 section 12.5.3) as far as it matters here.
func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		_, q, ok := strings.Cut(strings.ReplaceAll(params, " ", ""), "q=")
		weight, err := strconv.ParseFloat(q, 64)
		return !ok || err != nil || weight > 0
	}
	return false
}

// integrityOf is the subresource integrity hash of a script.
func integrityOf(data []byte) string {
	h := sha512.Sum384(data)
	return "sha384-" + base64.StdEncoding.EncodeToString(h[:])
}
