// Package export is what somebody takes out of an appliance: CSV files for spreadsheets, and the words in which
// a login is explained. The console and the command line write the same file and say the same words. It reads
// through the one door (package admin) in the name of the actor who asks.
package export

import (
	"context"
	"fmt"
	"io"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/report"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// file writes a whole file: its head, and the rows that each gives. With an error, what was written is a part
// of the report at most.
func file(w io.Writer, head []string, each func(row func(...string) error) error) error {
	t, err := report.NewWriter(w, head)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := each(t.Row); err != nil {
		return err
	}
	if err := t.End(); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// Logins writes the logins asked for, the newest first. Like all reports it writes rows as they are read, and
// nothing when the actor may not have it.
func Logins(ctx context.Context, w io.Writer, s *admin.Service, actor sallyport.Actor, q store.LoginQuery) error {
	if err := admin.May(actor, "EachLogin"); err != nil {
		return err
	}
	return file(w, report.LoginHead(), func(row func(...string) error) error {
		return s.EachLogin(ctx, actor, q, func(l sallyport.LoginRecord) error { return row(report.LoginRow(l)...) })
	})
}

// RADIUS writes the RADIUS requests asked for, the newest first.
func RADIUS(ctx context.Context, w io.Writer, s *admin.Service, actor sallyport.Actor, q store.RADIUSQuery) error {
	if err := admin.May(actor, "EachRADIUSRequest"); err != nil {
		return err
	}
	return file(w, report.RADIUSHead(), func(row func(...string) error) error {
		return s.EachRADIUSRequest(ctx, actor, q, func(a store.RADIUSActivity) error { return row(report.RADIUSRow(a)...) })
	})
}

// Users writes the users asked for, by display name, with their devices and phone numbers.
func Users(ctx context.Context, w io.Writer, s *admin.Service, actor sallyport.Actor, q store.UserQuery) error {
	if err := admin.May(actor, "EachUser"); err != nil {
		return err
	}
	policies, err := s.UserPolicies(ctx, actor)
	if err != nil {
		return err
	}
	names := map[sallyport.UserPolicyID]string{}
	for _, p := range policies {
		names[p.ID] = p.Name
	}
	return file(w, report.UserHead(), func(row func(...string) error) error {
		return s.EachUser(ctx, actor, q, func(u sallyport.User, devices []sallyport.Device, phones []sallyport.Phone) error {
			return row(report.UserRow(u, devices, phones, names[u.Policy])...)
		})
	})
}

// Audit writes the audit records asked for.
func Audit(ctx context.Context, w io.Writer, s *admin.Service, actor sallyport.Actor, q store.AuditQuery) error {
	if err := admin.May(actor, "EachAuditRecord"); err != nil {
		return err
	}
	return file(w, report.AuditHead(), func(row func(...string) error) error {
		return s.EachAuditRecord(ctx, actor, q, func(a sallyport.AuditRecord) error { return row(report.AuditRow(a)...) })
	})
}
