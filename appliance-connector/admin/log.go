package admin

import (
	"context"
	"io"

	"github.com/sallyport/sallyport"
)

// Logs are the log files of the appliance that somebody works on; another appliance has its own.
type Logs interface {
	List() ([]sallyport.LogFile, error)
	Page(context.Context, sallyport.LogQuery) (sallyport.LogPage, error)
	Follow(ctx context.Context, q sallyport.LogQuery, ready func() error, each func(sallyport.LogEntry) error) error
	Export(ctx context.Context, name string, w io.Writer) error
	ExportAll(context.Context, io.Writer) error
}

func (s *Service) logs() (Logs, error) {
	if s.cfg.Logs == nil {
		return nil, sallyport.Errorf(sallyport.CodeUnsupported, "This process keeps no log files.", nil)
	}
	return s.cfg.Logs, nil
}

// LogFiles returns the appliance's log files, the live one first.
func (s *Service) LogFiles(_ context.Context, actor sallyport.Actor) ([]sallyport.LogFile, error) {
	if _, err := s.as(actor, "LogFiles"); err != nil {
		return nil, err
	}
	logs, err := s.logs()
	if err != nil {
		return nil, err
	}
	return logs.List()
}

// LogLines returns lines of the log, the newest first.
func (s *Service) LogLines(ctx context.Context, actor sallyport.Actor, q sallyport.LogQuery) (sallyport.LogPage, error) {
	if _, err := s.as(actor, "LogLines"); err != nil {
		return sallyport.LogPage{}, err
	}
	logs, err := s.logs()
	if err != nil {
		return sallyport.LogPage{}, err
	}
	return logs.Page(ctx, q)
}

// FollowLog calls each with the lines that are written from now on, until ctx ends; ready as soon as it does.
func (s *Service) FollowLog(ctx context.Context, actor sallyport.Actor, q sallyport.LogQuery, ready func() error, each func(sallyport.LogEntry) error) error {
	if _, err := s.as(actor, "FollowLog"); err != nil {
		return err
	}
	logs, err := s.logs()
	if err != nil {
		return err
	}
	return logs.Follow(ctx, q, ready, each)
}

// ExportLog writes one log file as gzip or, without a name, all of them as a gzipped tar archive. begin is
// called before the first octet. That somebody took the log away is in the audit trail.
func (s *Service) ExportLog(ctx context.Context, actor sallyport.Actor, name string, begin func() io.Writer) error {
	db, err := s.as(actor, "ExportLog")
	if err != nil {
		return err
	}
	logs, err := s.logs()
	if err != nil {
		return err
	}
	list, err := logs.List()
	if err != nil {
		return err
	}
	what := "all log files"
	if name != "" {
		if what, err = named(list, name); err != nil {
			return err
		}
	}
	if err := db.AppendAudit(ctx, []sallyport.AuditRecord{{Action: "log.export", Object: what}}); err != nil {
		return err
	}
	if name == "" {
		return logs.ExportAll(ctx, begin())
	}
	return logs.Export(ctx, what, begin())
}

// named finds a file that is there.
func named(list []sallyport.LogFile, name string) (string, error) {
	for _, f := range list {
		if f.Name == name || f.Name == name+".gz" { // compressed since the page was shown
			return f.Name, nil
		}
	}
	return "", sallyport.Errorf(sallyport.CodeNotFound, "There is no such log file; it may have been deleted meanwhile.", nil)
}
