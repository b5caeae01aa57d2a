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

// renewEvery is how often the certificate is looked at.
const renewEvery = 10 * time.Minute

// A renewal that failed is tried again after renewAgain, then after twice as long, up to renewEvery: the
// first one may come before the tunnel stands.
const renewAgain = 2 * time.Second

// KeepRenewed renews the certificate by itself, after two thirds of its life, until ctx ends.
func (t *Trust) KeepRenewed(ctx context.Context, r Renewer, now func() time.Time, log *slog.Logger) error {
	again := renewAgain
	for {
		wait := renewEvery
		if !now().Before(t.renewAt()) {
			err := t.Renew(ctx, r)
			switch {
			case err == nil:
				again = renewAgain
				log.InfoContext(ctx, "certificate renewed", "expires", t.Expires())
			case ctx.Err() == nil:
				wait, again = again, min(2*again, renewEvery)
				log.ErrorContext(ctx, "certificate not renewed; it is tried again", "expires", t.Expires(), "retry_in", wait, "err", err)
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
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
