package enterprise

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/pki"
)

// Authority signs the certificates of appliances.
type Authority struct {
	*Store
	CA *pki.CA
}

// Trusted is what an appliance gets for its code.
type Trusted struct {
	Enterprise Enterprise
	Identity   pki.Identity
	Chain      [][]byte // DER, leaf first
	// Further says that the enterprise has other appliances already, with its keys.
	Further bool
}

var errNoCode = errors.New("no such code")

// Trust uses a provisioning code up and makes its bearer an appliance of the enterprise. errNoCode:
// enterprise or code are not right, or no longer; which of these is not said.
func (a Authority) Trust(ctx context.Context, tenant sallyport.TenantID, code sallyport.Secret, csr []byte, name string) (Trusted, error) {
	// Whatever can be wrong with the request is found before the code is used up.
	if err := checkCSR(csr); err != nil {
		return Trusted{}, sallyport.Errorf(sallyport.CodeInvalid, "The certificate request is not one of an appliance.", err)
	}
	name, err := cleanName("appliance", name)
	if err != nil {
		return Trusted{}, err
	}
	others, err := a.others(ctx, tenant)
	if err != nil {
		return Trusted{}, err
	}
	if err := a.useCode(ctx, tenant, code); err != nil {
		return Trusted{}, err
	}
	e, err := a.Get(ctx, tenant)
	if err != nil {
		return Trusted{}, err
	}
	id := pki.Identity{Tenant: tenant, Appliance: sallyport.ApplianceID(sallyport.NewID())}
	chain, expires, serial, err := a.sign(csr, id)
	if err != nil {
		return Trusted{}, err
	}
	if err := a.record(ctx, id, serial, expires, "name", name, "trusted", a.Now().UnixMilli()); err != nil {
		return Trusted{}, err
	}
	return Trusted{Enterprise: e, Identity: id, Chain: chain, Further: others > 0}, nil
}

// others counts the appliances of an enterprise that were not cut off.
func (a Authority) others(ctx context.Context, tenant sallyport.TenantID) (int, error) {
	ids, err := a.Redis.SMembers(ctx, appliancesKey(tenant)).Result()
	if err != nil {
		return 0, fmt.Errorf("list appliances: %w", err)
	}
	if len(ids) >= maxAppliances {
		return 0, sallyport.Errorf(sallyport.CodeLimited, "This enterprise has as many appliances as it can have.", nil)
	}
	n := 0
	for _, id := range ids {
		revoked, err := a.Revoked.Revoked(ctx, pki.Identity{Tenant: tenant, Appliance: sallyport.ApplianceID(id)})
		if err != nil {
			return 0, err
		}
		if !revoked {
			n++
		}
	}
	return n, nil
}

// useCode takes a code out; of any number who try at once, one succeeds.
func (a Authority) useCode(ctx context.Context, tenant sallyport.TenantID, code sallyport.Secret) error {
	err := a.Redis.GetDel(ctx, codeKey(tenant, code)).Err()
	if errors.Is(err, redis.Nil) {
		return errNoCode
	}
	if err != nil {
		return fmt.Errorf("use provisioning code: %w", err)
	}
	return nil
}

// Renew gives an appliance a new certificate. One that was cut off, or is not known, gets none.
func (a Authority) Renew(ctx context.Context, id pki.Identity, csr []byte) ([][]byte, error) {
	if err := checkCSR(csr); err != nil {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "The certificate request is not one of an appliance.", err)
	}
	known, err := a.Redis.SIsMember(ctx, appliancesKey(id.Tenant), string(id.Appliance)).Result()
	if err != nil {
		return nil, fmt.Errorf("look up appliance: %w", err)
	}
	revoked, err := a.Revoked.Revoked(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case !known || revoked:
		return nil, sallyport.Errorf(sallyport.CodeDenied, "This appliance was cut off. Establish trust again with a new provisioning code.", nil)
	}
	chain, expires, serial, err := a.sign(csr, id)
	if err != nil {
		return nil, err
	}
	return chain, a.record(ctx, id, serial, expires)
}

func (a Authority) sign(csr []byte, id pki.Identity) (chain [][]byte, expires time.Time, serial string, err error) {
	chain, err = a.CA.SignAppliance(csr, id, a.Now(), certificateTTL)
	if err != nil {
		return nil, time.Time{}, "", err
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, time.Time{}, "", fmt.Errorf("read signed certificate: %w", err)
	}
	return chain, leaf.NotAfter, leaf.SerialNumber.Text(16), nil
}

func (a Authority) record(ctx context.Context, id pki.Identity, serial string, expires time.Time, more ...any) error {
	_, err := a.Redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, applianceKey(id), append(more, "expires", expires.UnixMilli())...)
		p.LPush(ctx, serialsKey(id), serial)
		p.LTrim(ctx, serialsKey(id), 0, serialsKept-1)
		p.SAdd(ctx, appliancesKey(id.Tenant), string(id.Appliance))
		return nil
	})
	if err != nil {
		return fmt.Errorf("record certificate: %w", err)
	}
	return nil
}

// checkCSR refuses what SignAppliance would refuse.
func checkCSR(der []byte) error {
	if len(der) == 0 || len(der) > pki.MaxCSR {
		return errors.New("certificate request is empty or too long")
	}
	req, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return fmt.Errorf("read certificate request: %w", err)
	}
	if pub, ok := req.PublicKey.(*ecdsa.PublicKey); !ok || pub.Curve != elliptic.P256() {
		return errors.New("certificate request: the key must be ECDSA P-256")
	}
	return req.CheckSignature()
}
