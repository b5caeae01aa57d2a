package export

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport"
)

// Door says by which way a login came in.
func Door(d sallyport.Door) string {
	switch d {
	case sallyport.DoorRADIUS:
		return "The gateway (RADIUS)"
	case sallyport.DoorSelfService:
		return "The self-service page"
	}
	return "The overlay"
}

// KnownOverTLS says by what a gateway is known that asks over TLS; "" when it does not.
func KnownOverTLS(t sallyport.RADIUSTLS) string {
	var out []string
	for _, f := range t.Fingerprints {
		out = append(out, "certificate "+f)
	}
	if t.Authority != "" {
		out = append(out, "certificates of its authority for "+strings.Join(t.Names, ", "))
	}
	return strings.Join(out, "; ")
}

// Outcome says how a login ended.
func Outcome(o sallyport.Outcome) string {
	switch o {
	case sallyport.OutcomeGranted:
		return "Let in"
	case sallyport.OutcomeDenied:
		return "Refused"
	case sallyport.OutcomeAbandoned:
		return "Given up"
	}
	return "Under way"
}

// Reason says why a login ended as it did, as the help desk would.
func Reason(r sallyport.Reason) string {
	switch r {
	case "":
		return ""
	case sallyport.ReasonCredentials:
		return "Name or password not right, or the account may not log in"
	case sallyport.ReasonNotEnrolled:
		return "The password was right, but there is no second factor"
	case sallyport.ReasonNotAllowed:
		return "The password was right, but remote access is not for this user"
	case sallyport.ReasonWrongNumber:
		return "Another number was typed on the phone"
	case sallyport.ReasonRejected:
		return "The user said no on the phone"
	case sallyport.ReasonNotMe:
		return "The user said “this was not me”"
	case sallyport.ReasonTimeout:
		return "Nobody answered on the phone in time"
	case sallyport.ReasonSuperseded:
		return "A newer login took its place"
	case sallyport.ReasonWrongCode:
		return "The code was wrong, used already or too old"
	case sallyport.ReasonTooManyCodes:
		return "Too many wrong codes"
	case sallyport.ReasonCancelled:
		return "Cancelled on the page"
	case sallyport.ReasonExpired:
		return "The page waited too long"
	case sallyport.ReasonUnavailable:
		return "A part that is needed did not answer"
	case sallyport.ReasonPushFailed:
		return "The notification could not be delivered"
	case sallyport.ReasonBadApproval:
		return "The answer of the phone did not verify"
	}
	return strings.ReplaceAll(string(r), "_", " ")
}

// Detail writes the detail of an event as "name: value", and a list of what was weighed as sentences. What is empty is left out.
func Detail(detail json.RawMessage) string {
	var m map[string]any
	if json.Unmarshal(detail, &m) != nil {
		return ""
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if v := detailValue(m[k]); v != "" {
			out = append(out, strings.ReplaceAll(k, "_", " ")+": "+v)
		}
	}
	return strings.Join(out, " · ")
}

func detailValue(v any) string {
	list, ok := v.([]any)
	if !ok {
		return fmt.Sprint(v)
	}
	var out []string
	for _, one := range list {
		said, ok := one.(map[string]any)
		if !ok {
			out = append(out, fmt.Sprint(one))
			continue
		}
		for _, k := range []string{"sentence", "reason"} {
			if s, _ := said[k].(string); s != "" {
				out = append(out, s)
			}
		}
	}
	return strings.Join(out, " ")
}
