package trust

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport/internal/pki"
)

// Renewer asks the cloud for a new certificate, through the tunnel.
type Renewer interface {
	Renew(ctx context.Context, csr []byte) (chain [][]byte, err error)
}

// renewEvery is how often the certificate is looked at, and how soon a failed renewal is tried again.
const renewEvery = 10 * time.Minute

// KeepRenewed renews the certificate by itself, after two thirds of its life, until ctx ends.
func (t *Trust) KeepRenewed(ctx context.Context, r Renewer, now func() time.Time, log *slog.Logger) error {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		if !now().Before(t.renewAt()) {
			if err := t.Renew(ctx, r); err != nil && ctx.Err() == nil {
				log.ErrorContext(ctx, "certificate not renewed; it is tried again", "expires", t.Expires(), "retry_in", renewEvery, "err", err)
			} else if err == nil {
				log.InfoContext(ctx, "certificate renewed", "expires", t.Expires())
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Renew renews the certificate now.
func (t *Trust) Renew(ctx context.Context, r Renewer) error {
	csr, err := pki.CSR(t.key)
	if err != nil {
		return err
	}
	chain, err := r.Renew(ctx, csr)
	if err != nil {
		return fmt.Errorf("renew certificate: %w", err)
	}
	return t.install(chain)
}
