package admin

import (
	"slices"

	"github.com/sallyport/sallyport"
)

// Operation is the name of a method of Service.
type Operation string

// permission says who may do an operation.
type permission struct {
	// roles may; nobody else.
	roles []sallyport.Role
	// limited: an actor whose scope is not everybody may as well. The operation itself then keeps to the
	// scope. Without it, what concerns all users is left to those who may act on all of them.
	limited bool
	// person: only somebody at the console or at the appliance's command line, never an API token. What
	// makes or widens access is so.
	person bool
	// confirm: the console asks for the second factor again first, unless it was shown within ConfirmedFor.
	confirm bool
	// anybody: before there is an actor at all: signing in, and what only reads the actor's own request.
	anybody bool
}

// The rows of the table are made of these.
var (
	superOnly  = []sallyport.Role{sallyport.RoleSuper}
	supervised = []sallyport.Role{sallyport.RoleSuper, sallyport.RoleAuditor}
	admins     = []sallyport.Role{sallyport.RoleSuper, sallyport.RoleAdmin}
	helpers    = []sallyport.Role{sallyport.RoleSuper, sallyport.RoleAdmin, sallyport.RoleHelpDesk}
	overseers  = []sallyport.Role{sallyport.RoleSuper, sallyport.RoleAdmin, sallyport.RoleAuditor}
	everyone   = []sallyport.Role{sallyport.RoleSuper, sallyport.RoleAdmin, sallyport.RoleHelpDesk, sallyport.RoleAuditor}
)

// permissions is the whole table: an operation that is not in it cannot be done. Add a row with each
// exported method of Service; the test of this file compares the two.
var permissions = map[Operation]permission{
	// account.go, factor.go, passkey.go, session.go, signin.go, token.go: a Session is the proof of who asks,
	// and concerns its own administrator only.
	"AskPasskey":       {anybody: true},
	"ByToken":          {anybody: true},
	"ChangePassword":   {anybody: true},
	"ChangeProfile":    {anybody: true},
	"CheckCode":        {anybody: true},
	"CheckPasskey":     {anybody: true},
	"DeletePasskey":    {anybody: true},
	"DeleteTOTP":       {anybody: true},
	"DeleteToken":      {anybody: true},
	"EndSession":       {anybody: true},
	"EnrolPasskey":     {anybody: true},
	"EnrolTOTP":        {anybody: true},
	"Factors":          {anybody: true},
	"NewRecoveryCodes": {anybody: true},
	"NewToken":         {anybody: true},
	"OfferPasskey":     {anybody: true},
	"OfferTOTP":        {anybody: true},
	"OfferTOTPAgain":   {anybody: true},
	"OwnTokens":        {anybody: true},
	"Resume":           {anybody: true},
	"Sessions":         {anybody: true},
	"SignIn":           {anybody: true},
	"SignOut":          {anybody: true},
	"SignOutOthers":    {anybody: true},
	// setup.go: before there is anybody. The code is made by the process and by root's command line only.
	"IssueSetupCode": {anybody: true},
	"NeedsSetup":     {anybody: true},
	"Setup":          {anybody: true},

	// administrator.go
	"Administrator":        {roles: supervised},
	"AdministratorFactors": {roles: supervised},
	"Administrators":       {roles: supervised},
	"DeleteAdministrator":  {roles: superOnly, person: true, confirm: true},
	"PutAdministrator":     {roles: superOnly, person: true, confirm: true},
	"ResetPassword":        {roles: superOnly, person: true, confirm: true},
	"ResetSecondFactor":    {roles: superOnly, person: true, confirm: true},
	// administratorfactor.go: another factor is left, so that nobody gets in who did not before
	"OwnFactors":      {roles: everyone, limited: true},
	"RemoveFactor":    {roles: superOnly, confirm: true},
	"RemoveOwnFactor": {roles: everyone, limited: true, confirm: true},
	// grant.go
	"GrantDomains":  {roles: supervised},
	"RoleGrants":    {roles: supervised},
	"SetRoleGrants": {roles: superOnly, person: true, confirm: true},
	// overview.go
	"Overview": {roles: everyone, limited: true},
	// user.go
	"Users":                  {roles: everyone, limited: true},
	"User":                   {roles: everyone, limited: true},
	"Devices":                {roles: everyone, limited: true},
	"AssignPolicy":           {roles: admins, limited: true},
	"ReleasePolicy":          {roles: admins, limited: true},
	"RequireSecondFactor":    {roles: helpers, limited: true},
	"DeleteDevice":           {roles: helpers, limited: true},
	"RememberedDevices":      {roles: everyone, limited: true},
	"DeleteRememberedDevice": {roles: helpers, limited: true},
	// phone.go
	"Phones":      {roles: everyone, limited: true},
	"AddPhone":    {roles: helpers, limited: true},
	"DeletePhone": {roles: helpers, limited: true},
	// userpasskey.go
	"UserPasskeys":      {roles: everyone, limited: true},
	"DeleteUserPasskey": {roles: helpers, limited: true},
	// temporarycode.go
	"IssueTemporaryCode":  {roles: helpers, limited: true, person: true},
	"TemporaryCodes":      {roles: everyone, limited: true},
	"RevokeTemporaryCode": {roles: helpers, limited: true},
	// otptoken.go, otppin.go: a token that is given or found again, and a PIN, let somebody in
	"OTPTokens":             {roles: everyone},
	"OTPToken":              {roles: everyone, limited: true},
	"OTPTokenBySerial":      {roles: everyone, limited: true},
	"UserOTPTokens":         {roles: everyone, limited: true},
	"PreviewOTPTokens":      {roles: admins, person: true},
	"ImportOTPTokens":       {roles: admins, person: true},
	"AssignOTPToken":        {roles: helpers, limited: true, person: true},
	"UnassignOTPToken":      {roles: helpers, limited: true},
	"DisableOTPToken":       {roles: helpers, limited: true},
	"EnableOTPToken":        {roles: helpers, limited: true, person: true},
	"ResynchroniseOTPToken": {roles: helpers, limited: true, person: true},
	"DeleteOTPToken":        {roles: admins},
	"OTPPIN":                {roles: everyone, limited: true},
	"SetOTPPIN":             {roles: helpers, limited: true, person: true},
	"DeleteOTPPIN":          {roles: helpers, limited: true},
	// userpolicy.go, workflow.go, enrolrule.go
	"UserPolicies":         {roles: everyone, limited: true},
	"UserPolicy":           {roles: everyone, limited: true},
	"PutUserPolicy":        {roles: admins},
	"DeleteUserPolicy":     {roles: admins},
	"SetDefaultUserPolicy": {roles: admins},
	"PolicyRules":          {roles: overseers},
	"SetPolicyRules":       {roles: admins},
	"Licences":             {roles: everyone, limited: true},
	"LoginWorkflow":        {roles: everyone, limited: true},
	"SetLoginWorkflow":     {roles: admins},
	"AssociateWorkflow":    {roles: admins},
	"EnrolRules":           {roles: everyone, limited: true},
	"EnrolRule":            {roles: everyone, limited: true},
	"PutEnrolRule":         {roles: admins},
	"DeleteEnrolRule":      {roles: admins},
	"AssociatePolicies":    {roles: admins},
	// login.go
	"Logins":            {roles: everyone},
	"UserLogins":        {roles: everyone, limited: true},
	"ExplainLogin":      {roles: everyone, limited: true},
	"EachLogin":         {roles: overseers},
	"RADIUSRequests":    {roles: everyone},
	"EachRADIUSRequest": {roles: overseers},
	// trylogin.go
	"LoginDoors": {roles: everyone, limited: true},
	"TryLogin":   {roles: everyone, limited: true},
	// audit.go, report.go
	"AuditRecords":    {roles: supervised},
	"AuditRecord":     {roles: supervised},
	"EachAuditRecord": {roles: supervised},
	"VerifyAudit":     {roles: supervised},
	"EachUser":        {roles: overseers, limited: true},
	// reportschedule.go: reports leave the house
	"ReportSchedules":      {roles: overseers},
	"ReportSchedule":       {roles: overseers},
	"PutReportSchedule":    {roles: admins, person: true},
	"DeleteReportSchedule": {roles: admins},
	"SendReport":           {roles: admins, person: true},
	// log.go
	"LogFiles":  {roles: overseers},
	"LogLines":  {roles: overseers},
	"FollowLog": {roles: overseers},
	"ExportLog": {roles: overseers, person: true},
	// mail.go, retention.go
	"MailSettings":         {roles: supervised},
	"SetMailSettings":      {roles: superOnly, person: true, confirm: true},
	"SendTestMail":         {roles: superOnly, person: true},
	"Mails":                {roles: overseers},
	"RetentionSettings":    {roles: overseers},
	"RetentionPlan":        {roles: overseers},
	"SetRetentionSettings": {roles: superOnly, person: true, confirm: true},
	// tokenserver.go: who says that a code is right decides who logs in
	"TokenServers":    {roles: overseers},
	"SetTokenServers": {roles: admins, person: true, confirm: true},
	"TryTokenServer":  {roles: admins, person: true},
	// attestation.go
	"AttestationSettings":    {roles: overseers},
	"SetAttestationSettings": {roles: superOnly, person: true, confirm: true},
	// sms.go: whoever says where codes are sent can read them
	"TextSettings":    {roles: supervised},
	"SetTextSettings": {roles: superOnly, person: true, confirm: true},
	"SendTestText":    {roles: superOnly, person: true},
	// setting.go
	"ConsoleSettings":    {roles: overseers, limited: true},
	"SetConsoleSettings": {roles: superOnly},
	// language.go
	"LanguageSettings":    {roles: overseers},
	"SetLanguageSettings": {roles: admins},

	// integration.go
	"Integrations":            {roles: overseers, limited: true},
	"Integration":             {roles: overseers, limited: true},
	"AddIntegration":          {roles: admins},
	"SetIntegration":          {roles: admins},
	"DeleteIntegration":       {roles: admins},
	"RotateIntegrationSecret": {roles: admins},
	"EndIntegrationOverlap":   {roles: admins},
	"IntegrationScript":       {roles: overseers, limited: true},
	"PreviewAttributes":       {roles: overseers},
	"IntegrationHealth":       {roles: overseers, limited: true},

	// appliance.go, site.go
	"Appliances":      {roles: overseers, limited: true},
	"RemoveAppliance": {roles: admins},
	"RenameAppliance": {roles: admins},
	"Sites":           {roles: overseers, limited: true},
	"Site":            {roles: overseers, limited: true},
	"PutSite":         {roles: admins},
	"DeleteSite":      {roles: admins},

	// domain.go: who serves a domain decides who logs in
	"Domains":         {roles: overseers},
	"Domain":          {roles: overseers},
	"TryDomain":       {roles: admins},
	"PutDomain":       {roles: admins, person: true},
	"DeleteDomain":    {roles: admins, person: true},
	"DomainTree":      {roles: overseers},
	"FindGroups":      {roles: overseers},
	"DirectoryObject": {roles: overseers},

	// synchronisation.go
	"Synchronise":            {roles: admins},
	"ConfirmSynchronisation": {roles: admins, person: true},
	"PreviewSynchronisation": {roles: admins},
	"Synchronisations":       {roles: overseers},
}

// May returns nil when the actor may do the operation, and else an error that says so. A page asks it before
// it offers a button; the operation asks it again.
func May(actor sallyport.Actor, op Operation) error {
	p, known := permissions[op]
	switch {
	case !known:
		return sallyport.Errorf(sallyport.CodeDenied, "Nobody may do this.", nil)
	case p.anybody:
		return nil
	case actor.Kind != sallyport.ActorAdministrator && actor.Kind != sallyport.ActorToken && actor.Kind != sallyport.ActorLocal:
		return sallyport.Errorf(sallyport.CodeDenied, "Only an administrator may do this.", nil)
	case !slices.Contains(p.roles, actor.Role):
		return sallyport.Errorf(sallyport.CodeDenied, "Your role does not allow this. Ask a super administrator.", nil)
	case !p.limited && !actor.Scope.Unlimited():
		return sallyport.Errorf(sallyport.CodeDenied, "This concerns all users, and you look after some of them. Ask an administrator for all.", nil)
	case actor.ReadOnly && !reads[op]:
		return sallyport.Errorf(sallyport.CodeDenied, "This API token may only read. Make one that may write.", nil)
	case p.person && actor.Kind == sallyport.ActorToken:
		return sallyport.Errorf(sallyport.CodeDenied, "This cannot be done with an API token. Sign in to the console.", nil)
	}
	return nil
}

// NeedsConfirmation reports whether the second factor has to be shown again before the operation.
func NeedsConfirmation(op Operation) bool { return permissions[op].confirm }
