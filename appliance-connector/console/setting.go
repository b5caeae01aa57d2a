package console

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/appliance-connector/admin"
)

func (s *Server) settingRoutes() {
	s.page("/settings", "ConsoleSettings", (*request).settings)
	s.act("/settings/console", "SetConsoleSettings", (*request).setConsoleSettings)
}

// settingsPage is what the page of the settings shows: a section for each kind.
type settingsPage struct {
	Tabs      []Tab
	Console   Form
	MayChange bool
}

func (r *request) consoleForm(v admin.ConsoleSettings) Form {
	f := r.form("Save", Field{Kind: "number", Name: "idle", Label: "Sign out after", Value: fmt.Sprint(int(v.Idle / time.Minute)), Required: true,
		Help: "Minutes without a request, 1 to 480. Whoever they are, sessions end after 12 hours.", ReadOnly: !r.May("SetConsoleSettings")},
		Field{Kind: "hidden", Name: "version", Value: fmt.Sprint(v.Version)})
	f.Path = "/settings/console"
	return f
}

func (r *request) settings() error {
	v, err := r.s.admin.ConsoleSettings(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	return r.showSettings(http.StatusOK, r.consoleForm(v))
}

func (r *request) showSettings(status int, f Form) error {
	return r.showAs(status, Page{Title: "Settings", Content: "settings", Data: settingsPage{r.settingTabs("console"), f, r.May("SetConsoleSettings")}})
}

func (r *request) setConsoleSettings() error {
	version, err := r.formVersion()
	if err != nil {
		return err
	}
	minutes, err := strconv.Atoi(r.FormValue("idle"))
	if err != nil || minutes < 0 || minutes > 1<<20 {
		minutes = 0 // which the door refuses, with words for the field
	}
	err = r.s.admin.SetConsoleSettings(r.Request().Context(), r.Actor(), admin.ConsoleSettings{Idle: time.Duration(minutes) * time.Minute, Version: version})
	if err == nil {
		return r.done("/settings", "Saved. It holds for sessions that begin from now on.")
	}
	f := r.consoleForm(admin.ConsoleSettings{Version: version})
	f.Fields[0].Value = r.FormValue("idle")
	f, ok := f.with(err)
	if !ok {
		return err
	}
	return r.showSettings(http.StatusUnprocessableEntity, f)
}
