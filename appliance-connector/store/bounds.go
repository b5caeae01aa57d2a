package store

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport"
)

// Bounds of what the store takes.
const (
	maxAccount   = 256 // octets
	maxName      = 64  // characters of a nickname or a device's name
	maxPlatform  = 16
	maxPublicKey = 1024 // octets
	maxClaim     = 256  // octets
	maxSecret    = 128  // octets of a RADIUS secret
	maxOneTime   = 256  // octets of an enrolment's or an invitation's secret
	maxSetting   = 64 << 10
	maxListed    = 64   // client networks or origins of one integration
	maxPage      = 1000 // devices of one page
	maxOrigin    = 300  // octets
	// maxCertificates bounds those of one gateway, and their names.
	maxCertificates = 16
	maxNote         = 1000 // characters
	maxPolicies     = 1000 // user policies named at once
	maxRules        = 1000 // assignment rules
)

// checkText refuses what is too long, is not UTF-8, or has control characters. Everything else is
// kept as it is, right-to-left marks included; showing it safely is up to the page.
func checkText(noun, s string, most int) error {
	switch {
	case len(s) > 4*most || utf8.RuneCountInString(s) > most:
		return invalidf("The %s may have at most %d characters.", noun, most)
	case s == "":
		return invalidf("The %s is missing.", noun)
	case !utf8.ValidString(s):
		return invalidf("The %s is not UTF-8 text.", noun)
	case strings.ContainsFunc(s, unicode.IsControl):
		return invalidf("The %s has a control character in it.", noun)
	case strings.TrimSpace(s) != s:
		return invalidf("The %s begins or ends with a space.", noun)
	}
	return nil
}

func checkID(noun, id string) error {
	if !sallyport.ValidID(id) {
		return invalidf("The identifier of the %s must be 1 to 64 letters, digits, \"-\" or \"_\".", noun)
	}
	return nil
}

func checkSize(noun string, size, least, most int) error {
	switch {
	case size >= least && size <= most:
		return nil
	case least == most:
		return invalidf("The %s must have %d octets.", noun, least)
	default:
		return invalidf("The %s must have %d to %d octets.", noun, least, most)
	}
}

// checkAccount takes only the one spelling that sallyport.NewAccountName makes.
func checkAccount(account sallyport.AccountName) error {
	if err := checkText("account name", string(account), maxAccount); err != nil {
		return err
	}
	if len(account) > maxAccount || strings.ToLower(string(account)) != string(account) {
		return invalidf("The account name must be in lower case, with at most %d octets.", maxAccount)
	}
	return nil
}

func checkLife(noun string, created, expires time.Time) error {
	if !expires.After(created) {
		return invalidf("The %s must expire after it is made.", noun)
	}
	return nil
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// neverZero and orNever keep the zero time, which stands for never, as 0.
func neverZero(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return micros(t)
}

func orNever(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return fromMicros(us)
}
