package admin

import "github.com/sallyport/sallyport"

// reads are the operations that change nothing and ask no other system to do anything: what an API token
// may do that may only read. What is not here is refused to it, a new operation too.
var reads = map[Operation]bool{
	"Administrator": true, "AdministratorFactors": true, "OwnFactors": true, "Administrators": true, "GrantDomains": true, "RoleGrants": true, "ConsoleSettings": true,
	"Overview": true, "Users": true, "User": true, "EachUser": true, "Devices": true, "Phones": true, "UserPasskeys": true, "RememberedDevices": true, "TemporaryCodes": true,
	"OTPTokens": true, "OTPToken": true, "OTPTokenBySerial": true, "UserOTPTokens": true, "OTPPIN": true,
	"UserPolicies": true, "UserPolicy": true, "PolicyRules": true, "Licences": true, "LoginWorkflow": true, "EnrolRules": true, "EnrolRule": true,
	"Logins": true, "UserLogins": true, "ExplainLogin": true, "EachLogin": true, "RADIUSRequests": true, "EachRADIUSRequest": true,
	"AuditRecords": true, "AuditRecord": true, "EachAuditRecord": true, "VerifyAudit": true,
	"Integrations": true, "Integration": true, "IntegrationScript": true, "PreviewAttributes": true, "IntegrationHealth": true,
	"Domains": true, "Domain": true, "DomainTree": true, "FindGroups": true, "DirectoryObject": true, "Synchronisations": true,
	"LoginDoors": true, "TryLogin": true, "ReportSchedules": true, "ReportSchedule": true, "LogFiles": true, "LogLines": true, "FollowLog": true,
	"MailSettings": true, "TextSettings": true, "Mails": true, "RetentionSettings": true, "RetentionPlan": true, "LanguageSettings": true, "Appliances": true, "Sites": true, "Site": true,
	"TokenServers": true, "AttestationSettings": true,
}

// Reads reports whether a token that may only read may do the operation.
func Reads(op Operation) bool { return reads[op] }

// Roles lists who may do the operation, from the mightiest down; nil for one that there is not.
func Roles(op Operation) (out []sallyport.Role) {
	for _, r := range roles {
		if May(sallyport.Actor{Kind: sallyport.ActorLocal, Role: r}, op) == nil {
			out = append(out, r)
		}
	}
	return out
}
