package adminapi

import (
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/report"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func reportHandlers() map[string]handler {
	return map[string]handler{
		"exportLogins": (*call).exportLogins, "exportRadiusRequests": (*call).exportRadiusRequests, "exportUsers": (*call).exportUsers,
		"exportAuditRecords": (*call).exportAuditRecords,
	}
}

// export streams a CSV file (RFC 4180): rows are sent as they are read.
func (c *call) export(head []string, rows func(ctx context.Context, row func(...string) error) error) error {
	w := csv.NewWriter(c.Response())
	w.UseCRLF = true
	begun := false
	begin := func() error {
		begun = true
		c.Response().Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
		c.Response().WriteHeader(http.StatusOK)
		return w.Write(head)
	}
	err := rows(c.ctx(), func(cells ...string) error {
		if !begun {
			if err := begin(); err != nil {
				return err
			}
		}
		for i, cell := range cells {
			cells[i] = report.SafeCell(cell)
		}
		return w.Write(cells)
	})
	switch {
	case err == nil && !begun:
		err = begin()
	case err != nil && begun:
		// The head is sent: what is left is to break off, so that nobody takes a part for the whole.
		c.s.log.ErrorContext(c.ctx(), "api export broken off", "route", c.Path(), "err", err)
		panic(http.ErrAbortHandler)
	}
	if err != nil {
		return err
	}
	w.Flush()
	return w.Error()
}

func (c *call) exportLogins() error {
	head := []string{"id", "time", "ended", "userName", "account", "integration", "door", "outcome", "method", "reason", "detail", "address", "appliance", "supportCode"}
	return c.export(head, func(ctx context.Context, row func(...string) error) error {
		return c.admin().EachLogin(ctx, c.actor, c.loginQuery(), func(l sallyport.LoginRecord) error {
			return row(l.ID, when(l.Time), when(l.Ended), l.UserName, string(l.Account), string(l.Integration), string(l.Door), string(l.Outcome), string(l.Method),
				string(l.Reason), l.Detail, l.Address, string(l.Appliance), l.SupportCode)
		})
	})
}

func (c *call) exportRadiusRequests() error {
	head := []string{"time", "integration", "source", "userName", "account", "outcome", "reason", "cure", "nasIdentifier", "callingStation", "calledStation", "appliance"}
	return c.export(head, func(ctx context.Context, row func(...string) error) error {
		return c.admin().EachRADIUSRequest(ctx, c.actor, c.radiusQuery(), func(r store.RADIUSActivity) error {
			return row(when(r.Time), string(r.Integration), r.Source, r.UserName, string(r.Account), string(r.Outcome), r.Reason, r.Cure, r.NASIdentifier, r.CallingStation, r.CalledStation,
				string(r.Appliance))
		})
	})
}

func (c *call) exportUsers() error {
	head := []string{"id", "displayName", "account", "upn", "mail", "dn", "state", "policy", "policyFrom", "devices", "phones", "lastEnrolled", "synchronised"}
	return c.export(head, func(ctx context.Context, row func(...string) error) error {
		return c.admin().EachUser(ctx, c.actor, c.userQuery(), func(u sallyport.User, devices []sallyport.Device, phones []sallyport.Phone) error {
			var last time.Time
			for _, d := range devices {
				if d.Enrolled.After(last) {
					last = d.Enrolled
				}
			}
			for _, p := range phones {
				if p.Enrolled.After(last) {
					last = p.Enrolled
				}
			}
			return row(string(u.ID), u.DisplayName, string(u.Account), u.UPN, u.Mail, u.DN, string(u.State), string(u.Policy), string(u.PolicyFrom),
				fmt.Sprint(len(devices)), fmt.Sprint(len(phones)), when(last), when(u.Synchronised))
		})
	})
}

func (c *call) exportAuditRecords() error {
	head := []string{"chain", "sequence", "time", "actor", "actorId", "actorKind", "role", "address", "action", "object", "objectId", "before", "after", "reason", "supportCode"}
	return c.export(head, func(ctx context.Context, row func(...string) error) error {
		return c.admin().EachAuditRecord(ctx, c.actor, c.auditQuery(), func(a sallyport.AuditRecord) error {
			return row(a.Chain, fmt.Sprint(a.Sequence), when(a.Time), a.Actor.Name, a.Actor.ID, string(a.Actor.Kind), string(a.Actor.Role), a.Actor.Address, a.Action,
				a.Object, a.ObjectID, string(a.Before), string(a.After), a.Reason, a.SupportCode)
		})
	})
}

// when writes a time for a cell; empty: never.
func when(t time.Time) string {
	if t = orNever(t); t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
