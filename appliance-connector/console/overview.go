package console

import "github.com/sallyport/sallyport/appliance-connector/admin"

func (s *Server) overviewRoutes() { s.page("/", "Overview", (*request).overview) }

// overviewPage is what the overview shows.
type overviewPage struct {
	admin.Overview
	Chart Chart
}

func (r *request) overview() error {
	o, err := r.s.admin.Overview(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	for i, a := range o.Attention {
		if _, exists := r.s.pages[a.Path]; a.Path != "" && !exists {
			o.Attention[i].Path = "" // no link to a page that this console does not have
		}
	}
	return r.show(Page{Title: "Overview", Content: "overview", Data: overviewPage{o, loginChart(o)}})
}

func loginChart(o admin.Overview) Chart {
	c := Chart{Title: "Logins in the last 24 hours", Series: []Series{{"Let in", "ok"}, {"Refused", "bad"}, {"Given up", "warn"}, {"Under way", "info"}}}
	for _, n := range o.Logins {
		c.Bars = append(c.Bars, Bar{Label: n.From.UTC().Format("15:04"), Parts: []int{n.Granted, n.Denied, n.Abandoned, n.Open}})
	}
	return c
}
