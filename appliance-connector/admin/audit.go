package admin

import (
	"context"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// AuditRecords returns a page of the audit trail, the newest first.
func (s *Service) AuditRecords(ctx context.Context, actor sallyport.Actor, q store.AuditQuery) (store.AuditPage, error) {
	db, err := s.as(actor, "AuditRecords")
	if err != nil {
		return store.AuditPage{}, err
	}
	return db.AuditRecords(ctx, q)
}

// AuditRecord returns one record by its chain and number.
func (s *Service) AuditRecord(ctx context.Context, actor sallyport.Actor, chain string, sequence int64) (sallyport.AuditRecord, error) {
	db, err := s.as(actor, "AuditRecord")
	if err != nil {
		return sallyport.AuditRecord{}, err
	}
	return db.AuditRecord(ctx, chain, sequence)
}

// EachAuditRecord calls each with every record asked for, chain by chain, the oldest first, for export.
func (s *Service) EachAuditRecord(ctx context.Context, actor sallyport.Actor, q store.AuditQuery, each func(sallyport.AuditRecord) error) error {
	db, err := s.as(actor, "EachAuditRecord")
	if err != nil {
		return err
	}
	return db.EachAuditRecord(ctx, q, each)
}

// VerifyAudit checks the whole trail and returns the first place where it does not hold, or nil, and how
// many records it checked. What came of it is in the trail as well: the overview tells of the last check.
func (s *Service) VerifyAudit(ctx context.Context, actor sallyport.Actor, progress func(records int64)) (*store.AuditFinding, error) {
	db, err := s.as(actor, "VerifyAudit")
	if err != nil {
		return nil, err
	}
	found, err := db.VerifyAudit(ctx, progress)
	if err != nil {
		return nil, err
	}
	record := sallyport.AuditRecord{Action: verifiedAction}
	if found != nil {
		record.Reason = found.Message
	}
	return found, db.AppendAudit(ctx, []sallyport.AuditRecord{record})
}

// verifiedAction is that of the records of checks; one with a reason found that the trail does not hold.
const verifiedAction = "audit.verify"
