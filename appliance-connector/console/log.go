package console

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

// followFor bounds one stream of new lines; the page then asks for another one, if its session still stands.
const followFor = 5 * time.Minute

func (s *Server) logRoutes() {
	s.page("/logs", "LogLines", (*request).logLines)
	s.page("/logs/files", "LogFiles", (*request).logFiles)
	s.page("/logs/export", "ExportLog", (*request).exportLog)
	s.stream("/logs/follow", "FollowLog", (*request).followLog)
}

// stream is page for what sends events by itself: that keeps nobody signed in.
func (s *Server) stream(path string, op admin.Operation, h handler) {
	let := s.signedIn(func(r *request) error {
		if err := admin.May(r.Actor(), op); err != nil {
			return err
		}
		return h(r)
	})
	s.echo.GET(path, func(c echo.Context) error {
		c.Request().Header.Set("X-Passive", "1")
		return let(c)
	})
}

func logTabs(current string) []Tab {
	return []Tab{{Label: "Lines", Path: "/logs", Current: current == "lines"}, {Label: "Files", Path: "/logs/files", Current: current == "files"}}
}

func (r *request) logQuery() sallyport.LogQuery {
	return sallyport.LogQuery{File: r.QueryParam("file"), Level: r.QueryParam("level"), Text: r.QueryParam("q"), SupportCode: r.QueryParam("code"), After: r.QueryParam("after")}
}

// logPage is what the page of the lines shows.
type logPage struct {
	Tabs  []Tab
	Table Table
	// Follow is where new lines come from; empty: none come to these.
	Follow string
}

func (r *request) logLines() error {
	q := r.logQuery()
	ctx := r.Request().Context()
	files, err := r.s.admin.LogFiles(ctx, r.Actor())
	if err != nil {
		return err
	}
	page, err := r.s.admin.LogLines(ctx, r.Actor(), q)
	if err != nil {
		return err
	}
	t := Table{ID: "log", Caption: "Log, the newest line first", Path: "/logs", Columns: logColumns(), Next: r.nextPage(page.Next), First: r.firstPage(),
		Filters: []Field{{Kind: "search", Name: "q", Label: "Find", Value: q.Text, Placeholder: "Anything in the line", Most: 200},
			{Kind: "search", Name: "code", Label: "Support code", Value: q.SupportCode, Placeholder: "7H2K-9QXM", Most: 32},
			{Kind: "select", Name: "level", Label: "Level", Options: options(q.Level, "", "All", "info", "Info and up", "warn", "Warnings and errors", "error", "Errors")},
			{Kind: "select", Name: "file", Label: "File", Options: fileOptions(files, q.File)}},
		Empty: Empty{Title: "No lines", Text: "No line of the log fits these filters."}}
	if page.Next != "" {
		t.Empty.Text = "No line fits in the part that was read. Older ones may: go on."
		t.Empty.Action = Link{"Look further back", t.Next}
	}
	for _, e := range page.Entries {
		t.Rows = append(t.Rows, logRow(e))
	}
	p := Page{Title: "Logs", Lead: "What this appliance wrote. Each appliance has a log of its own.", Content: "logs", Actions: []Action{{Label: "Refresh", Path: r.refreshed()}}}
	d := logPage{Tabs: logTabs("lines"), Table: t}
	if q.After == "" && (q.File == "" || len(files) > 0 && files[0].Live && files[0].Name == q.File) {
		d.Follow = "/logs/follow"
	}
	if r.May("ExportLog") {
		p.Actions = append(p.Actions, Action{Label: "Export all", Path: "/logs/export"})
	}
	p.Data = d
	return r.show(p)
}

// refreshed is this page's address at the end of the log.
func (r *request) refreshed() string {
	q := r.Request().URL.Query()
	q.Del("after")
	if len(q) == 0 {
		return "/logs"
	}
	return "/logs?" + q.Encode()
}

func fileOptions(files []sallyport.LogFile, chosen string) []Option {
	out := []Option{{Label: "All files"}}
	for _, f := range files {
		label := "Until " + stamp(f.Modified)
		if f.Live {
			label = "Live"
		}
		out = append(out, Option{Value: f.Name, Label: label, Chosen: f.Name == chosen})
	}
	return out
}

func logColumns() []Column {
	return []Column{{Label: "Time (UTC)"}, {Label: "Level"}, {Label: "What"}, {Label: "Support code"}}
}

func logRow(e sallyport.LogEntry) []Cell {
	when, code := "", Cell{}
	if !e.Time.IsZero() {
		when = e.Time.Format("2 Jan 15:04:05.000")
	}
	var more []string
	for _, f := range e.Fields {
		if f.Name == "support_code" && f.Value != "" {
			code = Cell{Text: f.Value, Path: "/logs?" + query("code", f.Value)}
			continue
		}
		more = append(more, f.Name+": "+f.Value)
	}
	return []Cell{{Text: when, Mono: true}, {Badge: levelBadge(e.Level)}, {Text: e.Message, Sub: strings.Join(more, " · ")}, code}
}

func levelBadge(level string) Badge {
	switch level {
	case "ERROR":
		return Badge{"bad", "Error"}
	case "WARN":
		return Badge{"warn", "Warning"}
	case "INFO":
		return Badge{"info", "Info"}
	case "DEBUG":
		return Badge{"", "Debug"}
	}
	return Badge{"", "Other"}
}

func (r *request) logFiles() error {
	files, err := r.s.admin.LogFiles(r.Request().Context(), r.Actor())
	if err != nil {
		return err
	}
	t := Table{ID: "files", Caption: "Log files", Columns: []Column{{Label: "File"}, {Label: "Last line"}, {Label: "Size", Number: true}},
		Total: plural(len(files), "file", "files"), Empty: Empty{Title: "No log files yet", Text: "The first one comes with the first line."}}
	if r.May("ExportLog") {
		t.Columns = append(t.Columns, Column{Label: "Download"})
	}
	for _, f := range files {
		row := []Cell{{Text: f.Name, Path: "/logs?" + query("file", f.Name)}, {Time: f.Modified}, {Text: octets(f.Size)}}
		if f.Live {
			row[0].Badge = Badge{"ok", "Live"}
		}
		if r.May("ExportLog") {
			row = append(row, Cell{Text: "As gzip", Path: "/logs/export?" + query("file", f.Name)})
		}
		t.Rows = append(t.Rows, row)
	}
	p := Page{Title: "Log files", Crumbs: []Link{{"Logs", "/logs"}}, Lead: "A file is put aside at 10 MiB or after a day, and compressed. At most 40 of them stay, and none longer than the settings say.",
		Content: "cardlist", Data: CardList{Tabs: logTabs("files"), Table: t}}
	if r.May("ExportLog") {
		p.Actions = []Action{{Label: "Export all", Path: "/logs/export"}}
	}
	return r.show(p)
}

// octets is a size as people say it.
func octets(n int64) string {
	switch {
	case n < 1<<10:
		return plural(int(n), "octet", "octets")
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

func (r *request) exportLog() error {
	ctx, cancel := r.within(exportFor)
	defer cancel()
	file := r.QueryParam("file")
	begun := false
	err := r.s.admin.ExportLog(ctx, r.Actor(), file, func() io.Writer {
		begun = true
		name := strings.TrimSuffix(file, ".gz") + ".gz"
		if file == "" {
			name = "sallyport-logs-" + r.s.cfg.Now().UTC().Format(time.DateOnly) + ".tar.gz"
		}
		r.Response().Header().Set("Content-Type", "application/gzip")
		r.Response().Header().Set("Content-Disposition", `attachment; filename="`+url.PathEscape(name)+`"`)
		r.Response().WriteHeader(http.StatusOK)
		return r.Response()
	})
	if err != nil && begun {
		panic(http.ErrAbortHandler) // the head is sent: nobody shall take a part for the whole
	}
	return err
}

// followLog sends new lines as events: "ready" once it begins, "line" with a row of the table.
func (r *request) followLog() error {
	ctx, cancel := r.within(followFor)
	defer cancel()
	defer context.AfterFunc(r.s.running, cancel)()
	send := func(event, data string) error {
		text := "event: " + event + "\ndata: " + strings.ReplaceAll(strings.ReplaceAll(data, "\r", ""), "\n", "\ndata: ") + "\n\n"
		if _, err := io.WriteString(r.Response(), text); err != nil {
			return err
		}
		return http.NewResponseController(r.Response()).Flush()
	}
	q := r.logQuery()
	q.After, q.File = "", ""
	return r.s.admin.FollowLog(ctx, r.Actor(), q, func() error {
		r.Response().Header().Set("Content-Type", "text/event-stream")
		r.Response().WriteHeader(http.StatusOK)
		return send("ready", "-")
	}, func(e sallyport.LogEntry) error {
		var out bytes.Buffer
		if err := r.s.templates.ExecuteTemplate(&out, "logrow", map[string]any{"Columns": logColumns(), "Row": logRow(e)}); err != nil {
			return err
		}
		return send("line", out.String())
	})
}
