package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/retention"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// Bounds of retention, in days.
const (
	minAuditDays = 30
	mostDays     = 3650
	mostLogDays  = 365
)

// RetentionPlan is what the next run deletes.
type RetentionPlan struct {
	At time.Time
	store.Aged
	// LogFiles are those of this appliance.
	LogFiles int
}

// RetentionSettings returns how long things are kept.
func (s *Service) RetentionSettings(ctx context.Context, actor sallyport.Actor) (retention.Settings, error) {
	db, err := s.as(actor, "RetentionSettings")
	if err != nil {
		return retention.Settings{}, err
	}
	return retention.ReadSettings(ctx, db)
}

// RetentionPlan returns what would be deleted at the next run by these settings, which need not be saved.
func (s *Service) RetentionPlan(ctx context.Context, actor sallyport.Actor, v retention.Settings) (RetentionPlan, error) {
	db, err := s.as(actor, "RetentionPlan")
	if err != nil {
		return RetentionPlan{}, err
	}
	if err := checkRetention(v).err(); err != nil {
		return RetentionPlan{}, err
	}
	p := RetentionPlan{At: retention.Next(s.now())}
	at := v.At(p.At)
	if p.Aged, err = db.CountBefore(ctx, at.Audit, at.Logins, at.RADIUS); err != nil || s.cfg.Logs == nil {
		return p, err
	}
	files, err := s.cfg.Logs.List()
	for _, f := range files {
		if !f.Live && f.Modified.Before(at.Logs) {
			p.LogFiles++
		}
	}
	return p, err
}

// SetRetentionSettings changes them, from the next run on.
func (s *Service) SetRetentionSettings(ctx context.Context, actor sallyport.Actor, v retention.Settings) error {
	db, err := s.as(actor, "SetRetentionSettings")
	if err != nil {
		return err
	}
	if err := checkRetention(v).err(); err != nil {
		return err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode retention settings: %w", err)
	}
	return db.SetSection(ctx, retention.Section, text, v.Version)
}

func checkRetention(v retention.Settings) FieldErrors {
	f := FieldErrors{}
	f.check(v.Audit >= minAuditDays && v.Audit <= mostDays, "audit", "Use 30 to 3650 days.")
	f.check(v.Logins >= 1 && v.Logins <= mostDays, "logins", "Use 1 to 3650 days.")
	f.check(v.RADIUS >= 1 && v.RADIUS <= mostDays, "radius", "Use 1 to 3650 days.")
	f.check(v.Logs >= 1 && v.Logs <= mostLogDays, "logs", "Use 1 to 365 days.")
	return f
}
