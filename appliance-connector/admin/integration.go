package admin

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/language"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/embed"
	"github.com/sallyport/sallyport/internal/radiusattr"
)

// KindF5 is the only kind of gateway so far.
const KindF5 = "f5-big-ip"

// Bounds of how long the secret that is replaced is taken beside the new one.
const (
	DefaultOverlap = 24 * time.Hour
	MaxOverlap     = 30 * 24 * time.Hour
)

// healthWindow is how far health looks back.
const healthWindow = 24 * time.Hour

// Enterprise is what the scripts of integrations name.
type Enterprise struct {
	Tenant      sallyport.TenantID
	CloudURL    string // as browsers reach it
	Fingerprint string // of the root key
}

// Groups knows whose member an account is.
type Groups interface {
	Groups(ctx context.Context, account sallyport.AccountName) ([]string, error)
}

// SavedIntegration is an integration as it is after a change.
type SavedIntegration struct {
	// Integration is without its secrets.
	Integration sallyport.Integration
	// Secret is the one that was generated, to be shown once; empty when one was given or kept.
	Secret sallyport.Secret
	// Warnings are about what was saved all the same.
	Warnings []string
}

// IntegrationScript is what is put into the gateway's logon page. Nothing in it is secret.
type IntegrationScript struct {
	StandardTag   string `json:"standardTag"`
	ModernAddress string `json:"modernAddress"`
	Integrity     string `json:"integrity"`
}

// IntegrationHealth is what the appliances have heard of a gateway.
type IntegrationHealth struct {
	// Appliances are those that heard of it, the latest first.
	Appliances []sallyport.GatewayHealth
	// Unknown are addresses that requests come from and that no integration has.
	Unknown []sallyport.UnknownSource
	// Counts are the requests of the last day by integration, as far as they are kept.
	Counts map[sallyport.IntegrationID]store.RADIUSCounts
}

// Integrations returns all integrations by nickname, without their secrets.
func (s *Service) Integrations(ctx context.Context, actor sallyport.Actor) ([]sallyport.Integration, error) {
	db, err := s.as(actor, "Integrations")
	if err != nil {
		return nil, err
	}
	list, err := db.Integrations(ctx)
	for i := range list {
		list[i] = withoutSecrets(list[i])
	}
	return list, err
}

// Integration returns one integration without its secrets.
func (s *Service) Integration(ctx context.Context, actor sallyport.Actor, id sallyport.IntegrationID) (sallyport.Integration, error) {
	db, err := s.as(actor, "Integration")
	if err != nil {
		return sallyport.Integration{}, err
	}
	in, err := db.Integration(ctx, id)
	return withoutSecrets(in), err
}

// AddIntegration adds a gateway. Its id is made when it has none, its kind is KindF5 and its policy for
// Message-Authenticator once_seen when they are empty, and without a secret one is generated.
func (s *Service) AddIntegration(ctx context.Context, actor sallyport.Actor, in sallyport.Integration) (SavedIntegration, error) {
	db, err := s.as(actor, "AddIntegration")
	if err != nil {
		return SavedIntegration{}, err
	}
	if in.ID == "" {
		in.ID = sallyport.IntegrationID(sallyport.NewID())
	}
	if in.Kind == "" {
		in.Kind = KindF5
	}
	if in.MessageAuthenticator == "" {
		in.MessageAuthenticator = sallyport.MessageAuthenticatorOnceSeen
	}
	var generated sallyport.Secret
	if in.Secret == "" {
		generated = sallyport.GenerateSecret()
		in.Secret = generated
	}
	in.Version, in.PreviousSecret, in.PreviousUntil = 0, "", time.Time{}
	return s.saveIntegration(ctx, db, in, generated)
}

// SetIntegration changes a gateway. An empty Secret stays as it is; another one counts at once, without the
// overlap that RotateIntegrationSecret gives.
func (s *Service) SetIntegration(ctx context.Context, actor sallyport.Actor, in sallyport.Integration) (SavedIntegration, error) {
	db, err := s.as(actor, "SetIntegration")
	if err != nil {
		return SavedIntegration{}, err
	}
	if in.Version == 0 {
		return SavedIntegration{}, FieldErrors{"version": "Say which version you changed."}.err()
	}
	in.PreviousSecret, in.PreviousUntil = "", time.Time{}
	return s.saveIntegration(ctx, db, in, "")
}

// DeleteIntegration removes a gateway: nobody logs in there any more.
func (s *Service) DeleteIntegration(ctx context.Context, actor sallyport.Actor, id sallyport.IntegrationID, version int64) error {
	db, err := s.as(actor, "DeleteIntegration")
	if err != nil {
		return err
	}
	if version == 0 {
		return FieldErrors{"version": "Say which version you saw."}.err()
	}
	return db.DeleteIntegration(ctx, id, version)
}

// RotateIntegrationSecret gives a gateway a new secret, generated when secret is empty. For as long as overlap says
// (0: not at all, MaxOverlap at most) the old one is taken as well, so that the gateway can be changed meanwhile.
func (s *Service) RotateIntegrationSecret(ctx context.Context, actor sallyport.Actor, id sallyport.IntegrationID, version int64, secret sallyport.Secret, overlap time.Duration) (SavedIntegration, error) {
	db, err := s.as(actor, "RotateIntegrationSecret")
	if err != nil {
		return SavedIntegration{}, err
	}
	in, err := db.Integration(ctx, id)
	if err != nil {
		return SavedIntegration{}, err
	}
	f := FieldErrors{}
	f.check(version != 0, "version", "Say which version you saw.")
	f.check(overlap >= 0 && overlap <= MaxOverlap, "overlap", "Use 0 to 30 days.")
	f.check(secret == "" || secret != in.Secret, "secret", "This is the secret that the gateway has already.")
	if err := f.err(); err != nil {
		return SavedIntegration{}, err
	}
	var generated sallyport.Secret
	if secret == "" {
		generated = sallyport.GenerateSecret()
		secret = generated
	}
	in.Version, in.PreviousSecret, in.PreviousUntil = version, "", time.Time{}
	if overlap > 0 {
		in.PreviousSecret, in.PreviousUntil = in.Secret, s.now().Add(overlap).UTC().Truncate(time.Second)
	}
	in.Secret = secret
	return s.saveIntegration(ctx, db, in, generated)
}

// EndIntegrationOverlap stops taking the secret that was replaced before its time is over.
func (s *Service) EndIntegrationOverlap(ctx context.Context, actor sallyport.Actor, id sallyport.IntegrationID, version int64) (SavedIntegration, error) {
	db, err := s.as(actor, "EndIntegrationOverlap")
	if err != nil {
		return SavedIntegration{}, err
	}
	in, err := db.Integration(ctx, id)
	switch {
	case err != nil:
		return SavedIntegration{}, err
	case version == 0:
		return SavedIntegration{}, FieldErrors{"version": "Say which version you saw."}.err()
	case in.PreviousSecret == "":
		return SavedIntegration{}, sallyport.Errorf(sallyport.CodeConflict, "No secret of this gateway is being replaced.", nil)
	}
	in.Version, in.PreviousSecret, in.PreviousUntil = version, "", time.Time{}
	return s.saveIntegration(ctx, db, in, "")
}

// IntegrationScript makes what goes into the gateway's logon page. cloudURL replaces the enterprise's, for pages
// that reach the cloud under another address. It has the language that the integration, or else the enterprise, has now.
func (s *Service) IntegrationScript(ctx context.Context, actor sallyport.Actor, id sallyport.IntegrationID, cloudURL string) (IntegrationScript, error) {
	db, err := s.as(actor, "IntegrationScript")
	if err != nil {
		return IntegrationScript{}, err
	}
	in, err := db.Integration(ctx, id)
	if err != nil {
		return IntegrationScript{}, err
	}
	e := s.cfg.Enterprise
	if cloudURL == "" {
		cloudURL = e.CloudURL
	}
	languages, err := language.ReadSettings(ctx, db)
	if err != nil {
		return IntegrationScript{}, err
	}
	tag, address, integrity, err := embed.Script(cloudURL, in.ID, e.Tenant, e.Fingerprint, languages.At(in))
	if err != nil {
		return IntegrationScript{}, sallyport.Errorf(sallyport.CodeInvalid, "The script cannot be made for this address of the cloud.", err)
	}
	return IntegrationScript{tag, address, integrity}, nil
}

// PreviewAttributes returns what somebody in the groups, or an account whose groups the directory tells, has in
// Access-Accept at an integration. in need not be saved.
func (s *Service) PreviewAttributes(ctx context.Context, actor sallyport.Actor, in sallyport.Integration, groups []string, account sallyport.AccountName) ([]radiusattr.Attribute, error) {
	if _, err := s.as(actor, "PreviewAttributes"); err != nil {
		return nil, err
	}
	if account != "" {
		if s.cfg.Groups == nil {
			return nil, sallyport.Errorf(sallyport.CodeUnavailable, "The directory cannot be asked from here. Name groups instead.", nil)
		}
		of, err := s.cfg.Groups.Groups(ctx, account)
		if err != nil {
			return nil, err
		}
		groups = append(groups[:len(groups):len(groups)], of...)
	}
	return radiusattr.Preview(in, groups)
}

// IntegrationHealth returns what was heard of a gateway, of all with an empty id.
func (s *Service) IntegrationHealth(ctx context.Context, actor sallyport.Actor, id sallyport.IntegrationID) (h IntegrationHealth, err error) {
	db, err := s.as(actor, "IntegrationHealth")
	if err != nil {
		return h, err
	}
	if h.Appliances, err = db.GatewayHealth(ctx, id); err != nil {
		return h, err
	}
	since := s.now().Add(-healthWindow)
	if h.Unknown, err = db.UnknownSources(ctx, since); err != nil {
		return h, err
	}
	h.Counts, err = db.CountRADIUS(ctx, since)
	return h, err
}

// saveIntegration checks and saves an integration; what is saved and might be regretted is warned about.
func (s *Service) saveIntegration(ctx context.Context, db *store.Store, in sallyport.Integration, generated sallyport.Secret) (SavedIntegration, error) {
	problems := FieldErrors(store.IntegrationProblems(in))
	if problems["attributes"] != "" {
		markAttributes(problems, in.Attributes)
	}
	if err := problems.err(); err != nil {
		return SavedIntegration{}, err
	}
	var warnings []string
	if in.Secret != "" && generated == "" {
		if w := sallyport.WeakSecret(in.Secret, in.Nickname); w != "" {
			warnings = append(warnings, w)
		}
	}
	for _, p := range in.Clients {
		if wide := p.Addr().Is4() && p.Bits() < 16 || p.Addr().Is6() && p.Bits() < 48; wide {
			warnings = append(warnings, fmt.Sprintf("%s is a wide network: any host in it that learns the secret can ask as this gateway.", p))
		}
	}
	if len(in.Origins) == 0 && in.Experience != sallyport.ExperienceLegacy {
		warnings = append(warnings, "Without an origin of the logon page the overlay cannot be used there.")
	}
	saved, err := db.PutIntegration(ctx, in)
	if err != nil {
		return SavedIntegration{}, err
	}
	return SavedIntegration{withoutSecrets(saved), generated, warnings}, nil
}

// markAttributes says which of the attributes are wrong, under "attributes.0" for the first one; what is wrong
// with them together stays under "attributes".
func markAttributes(f FieldErrors, list []sallyport.GroupAttribute) {
	for i := range list {
		if err := radiusattr.Check(list[i : i+1]); err != nil {
			f["attributes."+strconv.Itoa(i)] = sallyport.ErrorMessage(err)
			delete(f, "attributes")
		}
	}
}

// withoutSecrets leaves PreviousUntil, which says that a secret is being replaced.
func withoutSecrets(in sallyport.Integration) sallyport.Integration {
	in.Secret, in.PreviousSecret = "", ""
	return in
}
