package store

import (
	"cmp"
	"context"
	"database/sql"
	"slices"

	"github.com/sallyport/sallyport"
)

const healthColumns = `integration_id, appliance, heard, accepted, error, error_time, cure, old_secret`

// RecordGatewayHeard notes what appliances heard of gateways, in one transaction, at most 1,000. Times
// go forward only, and an error stays until there is a newer one.
func (s *Store) RecordGatewayHeard(ctx context.Context, heard []sallyport.GatewayHealth) error {
	if err := checkBatch("gateways", len(heard)); err != nil {
		return err
	}
	type key struct {
		integration sallyport.IntegrationID
		appliance   sallyport.ApplianceID
	}
	latest := make(map[key]sallyport.GatewayHealth, len(heard))
	for _, h := range heard {
		if err := first(checkID("integration", string(h.Integration)), checkID("appliance", string(h.Appliance))); err != nil {
			return err
		}
		k := key{h.Integration, h.Appliance}
		if before, twice := latest[k]; twice {
			h = later(before, h)
		}
		latest[k] = h
	}
	rows := make([][]any, 0, len(latest))
	for _, h := range latest {
		rows = append(rows, []any{string(h.Integration), string(h.Appliance), micros(h.Heard), micros(h.Accepted), clean(h.Error, maxDetail), micros(h.ErrorTime), clean(h.Cure, maxDetail), micros(h.OldSecret)})
	}
	slices.SortFunc(rows, func(a, b []any) int {
		return cmp.Or(cmp.Compare(a[0].(string), b[0].(string)), cmp.Compare(a[1].(string), b[1].(string)))
	})
	ctx, cancel := deadline(ctx)
	defer cancel()
	err := s.engine.transact(ctx, func(tx *sql.Tx) error {
		return s.engine.insertRows(ctx, tx, `INSERT INTO gateway_health (`+healthColumns+`)`, `ON CONFLICT (integration_id, appliance) DO UPDATE SET
			heard = CASE WHEN excluded.heard > gateway_health.heard THEN excluded.heard ELSE gateway_health.heard END,
			accepted = CASE WHEN excluded.accepted > gateway_health.accepted THEN excluded.accepted ELSE gateway_health.accepted END,
			error = CASE WHEN excluded.error_time > gateway_health.error_time THEN excluded.error ELSE gateway_health.error END,
			cure = CASE WHEN excluded.error_time > gateway_health.error_time THEN excluded.cure ELSE gateway_health.cure END,
			old_secret = CASE WHEN excluded.old_secret > gateway_health.old_secret THEN excluded.old_secret ELSE gateway_health.old_secret END,
			error_time = CASE WHEN excluded.error_time > gateway_health.error_time THEN excluded.error_time ELSE gateway_health.error_time END`, rows)
	})
	return s.engine.failure("note what was heard of gateways", err)
}

// later merges two notes of one gateway.
func later(a, b sallyport.GatewayHealth) sallyport.GatewayHealth {
	if b.Heard.After(a.Heard) {
		a.Heard = b.Heard
	}
	if b.Accepted.After(a.Accepted) {
		a.Accepted = b.Accepted
	}
	if b.ErrorTime.After(a.ErrorTime) {
		a.Error, a.ErrorTime, a.Cure = b.Error, b.ErrorTime, b.Cure
	}
	if b.OldSecret.After(a.OldSecret) {
		a.OldSecret = b.OldSecret
	}
	return a
}

// GatewayHealth returns what each appliance last heard of an integration's gateway, the latest first;
// with an empty id that of all integrations.
func (s *Store) GatewayHealth(ctx context.Context, integration sallyport.IntegrationID) ([]sallyport.GatewayHealth, error) {
	c := &conditions{}
	if integration != "" {
		if err := checkID("integration", string(integration)); err != nil {
			return nil, err
		}
		c.add("integration_id = ?", string(integration))
	}
	ctx, cancel := deadline(ctx)
	defer cancel()
	rows, err := s.engine.query(ctx, s.engine.read,
		`SELECT `+healthColumns+` FROM gateway_health`+c.where()+` ORDER BY integration_id, heard DESC, appliance`, c.args...)
	if err != nil {
		return nil, s.engine.failure("read health of gateways", err)
	}
	list, err := collect(rows, func(rows *sql.Rows) (h sallyport.GatewayHealth, err error) {
		var heard, accepted, failed, old int64
		err = rows.Scan(&h.Integration, &h.Appliance, &heard, &accepted, &h.Error, &failed, &h.Cure, &old)
		h.Heard, h.Accepted, h.ErrorTime, h.OldSecret = fromMicros(heard), fromMicros(accepted), fromMicros(failed), fromMicros(old)
		return h, err
	})
	return list, s.engine.failure("read health of gateways", err)
}
