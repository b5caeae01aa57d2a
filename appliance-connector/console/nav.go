package console

import (
	"strings"

	"github.com/sallyport/sallyport/appliance-connector/admin"
)

// navItem is an entry of the side navigation.
type navItem struct {
	Label, Path, Icon string
	// Group begins a new group of entries, under this heading.
	Group string
	// Current is the entry of the page that is shown, or of one below it.
	Current bool
}

// entries are those of the side navigation, in their order. One is shown when its page exists (page was
// called with its path) and who is signed in may see it.
func entries() []navItem {
	return []navItem{
		{Label: "Overview", Path: "/", Icon: "home"},
		{Group: "People", Label: "Users", Path: "/users", Icon: "users"},
		{Label: "User policies", Path: "/user-policies", Icon: "badge"},
		{Label: "Workflow policy", Path: "/workflow-policy", Icon: "flow"},
		{Label: "Enrol rules", Path: "/enrol-rules", Icon: "phone"},
		{Label: "OTP tokens", Path: "/otp-tokens", Icon: "token"},
		{Label: "Directories", Path: "/directories", Icon: "directory"},
		{Label: "Try it", Path: "/try", Icon: "check"},
		{Group: "Gateways", Label: "Integrations", Path: "/integrations", Icon: "gateway"},
		{Label: "Cloud connection", Path: "/cloud", Icon: "cloud"},
		{Label: "Sites", Path: "/sites", Icon: "pin"},
		{Group: "Oversight", Label: "Reports", Path: "/reports", Icon: "chart"},
		{Label: "Audit", Path: "/audit", Icon: "audit"},
		{Label: "Logs", Path: "/logs", Icon: "log"},
		{Group: "Appliance", Label: "Administrators", Path: "/administrators", Icon: "key"},
		{Label: "Settings", Path: "/settings", Icon: "gear"},
	}
}

// navigation is what of the entries somebody sees.
func (s *Server) navigation(r *request) []navItem {
	var out []navItem
	group := ""
	path := r.Request().URL.Path
	for _, e := range entries() {
		if e.Group != "" {
			group = e.Group
		}
		op, exists := s.pages[e.Path]
		if !exists || admin.May(r.Actor(), op) != nil {
			continue
		}
		e.Group, group = group, ""
		e.Current = path == e.Path || e.Path != "/" && strings.HasPrefix(path, e.Path+"/")
		out = append(out, e)
	}
	return out
}
