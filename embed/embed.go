// Package embed serves the login overlay to the gateways' pages and makes the integration script
// that an administrator pastes. A page pins its script by hash, and the script its parts, so what was
// published never changes: its address is the hash of its content, and each one stays served for as
// long as a page may ask.
//
// Scripts and parts come from three places, all checked against the hash in the address: the overlay of
// this release, the folder published/ of older releases, and an archive that the replicas share, so
// that during an upgrade a replica of either release serves what belongs to both.
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
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/web"
)

//go:embed published
var published embed.FS

// Archive keeps what was published for all replicas, under a name that follows from the content: of a
// script the SHA-256 in hexadecimal, of a part "part-" and the SHA-384 in base64url.
type Archive interface {
	Keep(ctx context.Context, name string, script []byte) error
	// Load returns nil when there is none.
	Load(ctx context.Context, name string) ([]byte, error)
}

// script is one published script or part, ready to be sent.
type script struct {
	plain, gzip []byte
	name        string
}

func newScript(data []byte, name string) (*script, error) {
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
	return &script{plain: data, gzip: b.Bytes(), name: name}, nil
}

func hashOf(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

// partNameOf begins with a word, since a hash in base64url may begin with - or _.
func partNameOf(data []byte) string { return partName + web.PartHash(data) }

const partName = "part-"

// maxLoaded bounds how many scripts and parts of the archive are held in memory, and maxScript their size.
const (
	maxLoaded = 256
	maxScript = 256 << 10
)

// Server serves scripts and parts below /embed/v1/.
type Server struct {
	archive Archive

	mu      sync.RWMutex
	scripts map[string]*script
}

// NewServer makes a Server; archive may be nil. The overlay of this release and its parts are put into the archive.
func NewServer(ctx context.Context, archive Archive) (*Server, error) {
	folder, err := fs.Sub(published, "published")
	if err != nil {
		return nil, fmt.Errorf("open published scripts: %w", err)
	}
	s := &Server{archive: archive, scripts: make(map[string]*script)}
	if err := s.loadFolder(folder); err != nil {
		return nil, err
	}
	overlay := web.Overlay()
	if err := s.publish(ctx, overlay, hashOf(overlay)); err != nil {
		return nil, fmt.Errorf("publish overlay: %w", err)
	}
	for _, p := range web.Parts() {
		if err := s.publish(ctx, p.Data, partNameOf(p.Data)); err != nil {
			return nil, fmt.Errorf("publish %s: %w", p.Name, err)
		}
	}
	return s, nil
}

func (s *Server) publish(ctx context.Context, data []byte, name string) error {
	sc, err := newScript(data, name)
	if err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	s.scripts[name] = sc
	if s.archive == nil {
		return nil
	}
	return s.archive.Keep(ctx, name, data)
}

// loadFolder reads what older releases published: <sha256>.js each script, part-<sha384>.js or .json
// each part. One that was changed is an error.
func (s *Server) loadFolder(folder fs.FS) error {
	names, err := fs.Glob(folder, "*.js*")
	if err != nil {
		return fmt.Errorf("list published scripts: %w", err)
	}
	for _, file := range names {
		data, err := fs.ReadFile(folder, file)
		if err != nil {
			return fmt.Errorf("read published script: %w", err)
		}
		name, content := strings.TrimSuffix(file, path.Ext(file)), hashOf(data)
		if strings.HasPrefix(name, partName) {
			content = partNameOf(data)
		}
		if name != content {
			return fmt.Errorf("published script %s was changed: its content has the hash %s", file, content)
		}
		sc, err := newScript(data, name)
		if err != nil {
			return fmt.Errorf("compress published script: %w", err)
		}
		s.scripts[name] = sc
	}
	return nil
}

// Prefix is where Server wants to be mounted.
const Prefix = "/embed/v1/"

func address(hash string) string { return Prefix + hash + "/f5.js" }

// ServeHTTP answers GET and HEAD of /embed/v1/<sha256>/f5.js, and of /embed/v1/part/<sha384>.js and .json.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "This address takes GET and HEAD only.", http.StatusMethodNotAllowed)
		return
	}
	name, kind, ok := nameIn(r.URL.Path)
	if !ok {
		notFound(w)
		return
	}
	sc, err := s.find(r.Context(), name, kind)
	switch {
	case err != nil:
		h.Set("Cache-Control", "no-store")
		http.Error(w, "The script cannot be fetched now. Please try again.", http.StatusServiceUnavailable)
	case sc == nil:
		notFound(w)
	default:
		sc.serve(w, r, kind)
	}
}

func notFound(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, "There is no such script.", http.StatusNotFound)
}

// kind is what an address asks for: how its content is named, and what it is sent as.
type kind struct {
	name        func([]byte) string
	contentType string
}

var (
	overlayScript = kind{hashOf, "text/javascript; charset=utf-8"}
	partScript    = kind{partNameOf, "text/javascript; charset=utf-8"}
	partWords     = kind{partNameOf, "application/json"}
)

var (
	overlayAddress = regexp.MustCompile(`^` + Prefix + `([0-9a-f]{64})/f5\.js$`)
	partAddress    = regexp.MustCompile(`^` + Prefix + `part/([A-Za-z0-9_-]{64})\.(js|json)$`)
)

func nameIn(path string) (string, kind, bool) {
	if m := overlayAddress.FindStringSubmatch(path); m != nil {
		return m[1], overlayScript, true
	}
	m := partAddress.FindStringSubmatch(path)
	switch {
	case m == nil:
		return "", kind{}, false
	case m[2] == "json":
		return partName + m[1], partWords, true
	}
	return partName + m[1], partScript, true
}

func (s *Server) find(ctx context.Context, name string, k kind) (*script, error) {
	s.mu.RLock()
	sc := s.scripts[name]
	s.mu.RUnlock()
	if sc != nil || s.archive == nil {
		return sc, nil
	}
	data, err := s.archive.Load(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("read script archive: %w", err)
	}
	// The address says what the content has to be: nobody can slip another script in.
	if data == nil || len(data) > maxScript || k.name(data) != name {
		return nil, nil
	}
	if sc, err = newScript(data, name); err != nil {
		return nil, fmt.Errorf("compress script: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.scripts) < maxLoaded {
		s.scripts[name] = sc
	}
	return sc, nil
}

func (sc *script) serve(w http.ResponseWriter, r *http.Request, k kind) {
	data, tag := sc.plain, `"`+sc.name+`"`
	h := w.Header()
	if acceptsGzip(r.Header.Get("Accept-Encoding")) {
		data, tag = sc.gzip, `"`+sc.name+`-gzip"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Type", k.contentType)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", tag)
	if strings.Contains(r.Header.Get("If-None-Match"), sc.name) {
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
