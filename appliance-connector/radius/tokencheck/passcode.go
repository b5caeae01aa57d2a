package tokencheck

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/policy"
	"github.com/sallyport/sallyport/appliance-connector/radius"
)

// code decides about a passcode: as policy says, and when it is right.
func (v *Verifier) code(ctx context.Context, q *radius.Query, account sallyport.AccountName) radius.Verdict {
	t := try{query: q, account: account, request: owner(q)}
	standing, err := v.opts.Standings.Standing(ctx, account)
	if err != nil {
		return v.undecided(t, fmt.Sprintf("could not read what is known of the user: %v", err), "look at the appliance's store")
	}
	d := policy.Decide(policy.Input{
		Account: account, Known: true, Standing: standing, Integration: *q.Integration, Door: sallyport.DoorRADIUS, Now: v.opts.Now(),
	})
	t.decision = &d
	methods := d.Typed()
	if len(methods) == 0 {
		return v.notAsked(t)
	}
	by, why, err := v.opts.Codes.CheckCode(ctx, account, q.Passcode, hex.EncodeToString(t.request[:]), methods, nil)
	switch {
	case err != nil:
		return v.undecided(t, fmt.Sprintf("could not check the passcode: %v", err), "look at the appliance's store")
	case by == "":
		t.method = methods[0]
		return v.refused(t, sallyport.ReasonWrongCode, "passcode refused: "+why,
			"let the user type the code that the app shows now, or the temporary code; check the clocks of phone and appliance")
	}
	t.method = by
	v.recordEnd(t, sallyport.OutcomeGranted, "", "The passcode is right.")
	return radius.Verdict{Accept: true}
}

// notAsked refuses whom policy asks for nothing that can be typed.
func (v *Verifier) notAsked(t try) radius.Verdict {
	switch d := t.decision; d.Outcome {
	case policy.Refuse:
		return v.refused(t, d.Reason, "policy: "+d.Why(), "see the user's policy with 'Try it' in the console")
	case policy.Ask:
		return v.refused(t, sallyport.ReasonNotEnrolled, "the user has no second factor that can be typed into the gateway's form",
			"let the user log in through the overlay, or issue a temporary code")
	}
	return v.refused(t, sallyport.ReasonNotEnrolled, "the user has no second factor to check: "+t.decision.Why(),
		"let the user log in through the overlay, or issue a temporary code")
}
