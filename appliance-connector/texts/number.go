package texts

import (
	"strings"

	"github.com/nyaruka/phonenumbers"

	"github.com/sallyport/sallyport"
)

// maxTyped bounds what is typed as a number, in octets.
const maxTyped = 64

// Region reports whether a country (ISO 3166-1, two capital letters) has telephone numbers.
func Region(region string) bool { return phonenumbers.GetSupportedRegions()[region] }

// Number reads a number as people type it. Without a country it is of the region; where that is empty, it is
// refused. So is what no text message reaches, or what costs whoever sends one dearly. Errors are invalid, in words
// for whoever typed it.
func Number(typed, region string) (sallyport.PhoneNumber, error) {
	typed = strings.TrimSpace(typed)
	if typed == "" {
		return "", invalid("Type the phone number.")
	}
	if len(typed) > maxTyped {
		return "", invalid("This is not a phone number.")
	}
	if strings.HasPrefix(typed, "00") && region == "" {
		typed = "+" + typed[2:]
	}
	if region == "" && !strings.HasPrefix(typed, "+") {
		return "", invalid("Type the number with its country, as in +44 7700 900123.")
	}
	n, err := phonenumbers.Parse(typed, region)
	if err != nil || n.GetExtension() != "" || !phonenumbers.IsValidNumber(n) {
		return "", invalid("This is not a phone number. Look at its digits, and at its country: +44 7700 900123.")
	}
	switch phonenumbers.GetNumberType(n) {
	case phonenumbers.FIXED_LINE:
		return "", invalid("This is the number of a landline, where no text message arrives. Type that of a mobile phone.")
	case phonenumbers.PREMIUM_RATE, phonenumbers.TOLL_FREE, phonenumbers.SHARED_COST, phonenumbers.PAGER, phonenumbers.UAN, phonenumbers.VOICEMAIL:
		return "", invalid("No text messages are sent to numbers of this kind. Type that of a mobile phone.")
	}
	out := sallyport.PhoneNumber(phonenumbers.Format(n, phonenumbers.E164))
	if !out.Valid() {
		return "", invalid("This is not a phone number.")
	}
	return out, nil
}

func invalid(message string) error { return sallyport.Errorf(sallyport.CodeInvalid, message, nil) }
