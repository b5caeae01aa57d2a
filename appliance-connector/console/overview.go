package console

func (s *Server) overviewRoutes() { s.page("/", "Overview", (*request).overview) }

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
	return r.show(Page{Title: "Overview", Content: "overview", Data: o})
}
