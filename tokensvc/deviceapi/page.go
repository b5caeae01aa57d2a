package deviceapi

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/sallyport/sallyport/internal/deviceproto"
)

// WebPush is where the phone page hears of pushes, in a demo: the address of a push simulator.
type WebPush struct {
	URL      string               `json:"pushURL"`
	Provider deviceproto.Provider `json:"provider"`
}

// servePage serves the phone page, which may load nothing from elsewhere.
func (s *Server) servePage(e *echo.Echo) error {
	tags, err := contentTags(s.cfg.Page)
	if err != nil {
		return err
	}
	connect := "'self'"
	if s.cfg.WebPush.URL != "" {
		connect += " " + s.cfg.WebPush.URL
	}
	policy := "default-src 'self'; connect-src " + connect + "; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	files := http.StripPrefix(deviceproto.PagePath, http.FileServerFS(s.cfg.Page))
	secure := func(h http.Header) {
		h.Set("Content-Security-Policy", policy)
		h.Set("Permissions-Policy", "camera=(self), geolocation=(), microphone=()")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
	}
	e.GET(strings.TrimSuffix(deviceproto.PagePath, "/"), func(c echo.Context) error {
		return c.Redirect(http.StatusPermanentRedirect, s.cfg.URL+deviceproto.PagePath)
	})
	e.GET(deviceproto.PagePath+"config.json", func(c echo.Context) error {
		secure(c.Response().Header())
		w := s.cfg.WebPush
		if w.URL == "" {
			w.Provider = deviceproto.ProviderNone
		}
		return c.JSON(http.StatusOK, w)
	})
	e.GET(deviceproto.PagePath+"*", func(c echo.Context) error {
		secure(c.Response().Header())
		if tag := tags[c.Param("*")]; tag != "" {
			c.Response().Header().Set("ETag", tag)
		} else if c.Param("*") != "" {
			return echo.ErrNotFound // no lists of folders
		}
		files.ServeHTTP(c.Response(), c.Request())
		return nil
	})
	return nil
}

// contentTags makes an entity tag for every file: embedded files have no time to go by.
func contentTags(files fs.FS) (map[string]string, error) {
	tags := map[string]string{}
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		tags[path] = `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read phone page: %w", err)
	}
	return tags, nil
}
