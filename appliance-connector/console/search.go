package console

import (
	"strings"

	"github.com/sallyport/sallyport/appliance-connector/admin"
)

// finder looks for things of one kind by words. A page that has such things adds one to Server.finders.
type finder struct {
	Title string
	op    admin.Operation // who may not do it, does not find by it
	find  func(r *request, words string) ([]found, error)
}

// found is one thing that was found.
type found struct{ Label, Hint, Path string }

// foundGroup is what one finder found.
type foundGroup struct {
	Title string
	Found []found
	More  bool
}

const (
	mostFound   = 8
	mostSearch  = 100 // characters of what is looked for
	fewestRunes = 2
)

func (s *Server) searchRoutes() { s.own("GET", "/search", (*request).search) }

// searchPage is what the page of the search shows.
type searchPage struct {
	Query  string
	Groups []foundGroup
	Asked  bool
}

func (r *request) search() error {
	d := searchPage{Query: strings.TrimSpace(r.QueryParam("q"))}
	if len(d.Query) > mostSearch {
		d.Query = strings.ToValidUTF8(d.Query[:mostSearch], "")
	}
	if len([]rune(d.Query)) >= fewestRunes {
		d.Asked = true
		var err error
		if d.Groups, err = r.find(d.Query); err != nil {
			return err
		}
	}
	return r.show(Page{Title: "Search", Content: "search", Data: d})
}

func (r *request) find(words string) (out []foundGroup, err error) {
	var pages []found
	for _, e := range r.s.navigation(r) {
		if strings.Contains(strings.ToLower(e.Label), strings.ToLower(words)) {
			pages = append(pages, found{Label: e.Label, Path: e.Path})
		}
	}
	if len(pages) > 0 {
		out = append(out, foundGroup{Title: "Pages", Found: pages})
	}
	for _, f := range r.s.finders {
		if !r.May(f.op) {
			continue
		}
		list, err := f.find(r, words)
		if err != nil {
			return nil, err
		}
		if len(list) > 0 {
			out = append(out, foundGroup{Title: f.Title, Found: list[:min(len(list), mostFound)], More: len(list) > mostFound})
		}
	}
	return out, nil
}
