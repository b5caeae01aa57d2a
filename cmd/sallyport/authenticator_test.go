package main

import (
	"context"
	"encoding/base32"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/devicetest"
)

const scriptPatience = 20 * time.Second

// tokens is the other end of the devices in a script.
type tokens struct {
	service    *devicetest.Service
	enrolments map[string]*devicetest.Enrolment
	challenge  *devicetest.Challenge
}

type tokensKey struct{}

func setupTokens(e *testscript.Env) {
	tk := &tokens{service: devicetest.New(), enrolments: map[string]*devicetest.Enrolment{}}
	e.Values[tokensKey{}] = tk
	e.Setenv("TOKENS", tk.service.URL())
	e.Defer(tk.service.Close)
}

var verdicts = map[string]devicetest.Verdict{
	"accept": devicetest.Accept, "refuse": devicetest.Refuse, "foreign": devicetest.Foreign, "hold": devicetest.Hold,
}

// tokensCommand is the script command
//
//	tokens invite NAME USER ENTERPRISE VERDICT   an invitation; its link goes to $NAME
//	tokens expire NAME                           makes it too old
//	tokens settle NAME VERDICT                   gives the verdict that was held
//	tokens typed NAME FILE right|wrong           the serial number that FILE shows last is typed, with its code or another one
//	tokens app NAME with|without                 what the device has said of number matching
//	tokens ask NAME USER APPLICATION LIFE DIGITS a challenge; its id goes to $ID
//	tokens cancel                                ends it without an answer
//	tokens shown | gone                          waits until the device has heard of it, or of its end
//	tokens answered DECISION [NUMBER]            waits for the answer, whose signature and seal hold
//	tokens code NAME                             compares the last output with oathtool
//	tokens down | up                             answers 503, or no more
//	tokens lose N                                loses the receipts of the next N answers
//	tokens ahead DURATION                        puts the service's clock forward
//	tokens forget NAME, tokens known NAME        the device at the token service
func tokensCommand(ts *testscript.TestScript, neg bool, args []string) {
	tk := ts.Value(tokensKey{}).(*tokens)
	if len(args) == 0 {
		ts.Fatalf("usage: tokens COMMAND ...")
	}
	if problems := tk.service.Problems(); len(problems) > 0 {
		ts.Fatalf("the device broke the protocol: %q", problems)
	}
	rest := args[1:]
	switch args[0] {
	case "known":
		if tk.enrolments[rest[0]].Known() == neg {
			ts.Fatalf("known: %v", !neg)
		}
	case "down", "up":
		tk.service.SetDown(args[0] == "down")
	case "lose":
		n, err := strconv.Atoi(rest[0])
		ts.Check(err)
		tk.service.DropAnswers(n)
	case "ahead":
		d, err := time.ParseDuration(rest[0])
		ts.Check(err)
		tk.service.SetAhead(d)
	case "typed":
		tk.typed(ts, rest)
	case "app":
		if a := tk.enrolments[rest[0]].App(); a == nil || a.WithoutNumberMatching != (rest[1] == "without") {
			ts.Fatalf("the device says of its app: %+v", a)
		}
	case "invite", "expire", "settle", "forget", "code":
		tk.enrolment(ts, args[0], rest)
	default:
		tk.challenges(ts, args[0], rest)
	}
}

func (tk *tokens) enrolment(ts *testscript.TestScript, command string, args []string) {
	switch command {
	case "invite":
		e := tk.service.Invite(args[1], args[2], verdicts[args[3]])
		tk.enrolments[args[0]] = e
		ts.Setenv(args[0], e.Link())
	case "expire":
		tk.enrolments[args[0]].Expire()
	case "settle":
		tk.enrolments[args[0]].Settle(verdicts[args[1]])
	case "forget":
		tk.enrolments[args[0]].Forget()
	case "code":
		compareWithOathtool(ts, tk.enrolments[args[0]].Seed())
	}
}

// shown is a serial number with its code, as text or as JSON.
var shown = regexp.MustCompile(`([0-9A-Z]{6}-[0-9A-Z]{6}-[0-9A-Z]{6})\D*\b(\d{6})\b`)

func (tk *tokens) typed(ts *testscript.TestScript, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), scriptPatience)
	defer cancel()
	for {
		text, _ := os.ReadFile(ts.MkAbs(args[1])) // it may not be there yet
		found := shown.FindAllStringSubmatch(string(text), -1)
		if len(found) > 0 {
			last := found[len(found)-1]
			code := sallyport.Secret(last[2])
			if args[2] == "wrong" {
				code = "x" + code[1:]
			}
			right, err := tk.service.InviteSerial(ctx, tk.enrolments[args[0]], last[1], code)
			if err == nil && right == (args[2] == "right") {
				return
			}
			if !errors.Is(err, devicetest.ErrHidden) { // another number is about to be shown
				ts.Check(err)
				ts.Fatalf("the device finds the code right: %v", right)
			}
		}
		ts.Check(pause(ctx, 20*time.Millisecond))
	}
}

// compareWithOathtool takes the code of this step or of the one before: a step may have ended since.
func compareWithOathtool(ts *testscript.TestScript, seed sallyport.Key) {
	said := ts.ReadFile("stdout")
	for _, at := range []time.Time{time.Now(), time.Now().Add(-30 * time.Second)} {
		out, err := exec.Command("oathtool", "--totp", "-b", "--now", at.UTC().Format("2006-01-02 15:04:05 UTC"),
			base32.StdEncoding.EncodeToString(seed)).Output()
		ts.Check(err)
		if strings.Contains(said, strings.TrimSpace(string(out))) {
			return
		}
	}
	ts.Fatalf("oathtool has another code")
}

func (tk *tokens) challenges(ts *testscript.TestScript, command string, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), scriptPatience)
	defer cancel()
	var err error
	switch command {
	case "ask":
		life, errLife := time.ParseDuration(args[3])
		digits, errDigits := strconv.Atoi(args[4])
		ts.Check(errLife)
		ts.Check(errDigits)
		d := sallyport.ChallengeDetails{User: args[1], Application: args[2], Place: "203.0.113.7", Time: time.Now(), Digits: digits}
		if tk.challenge, err = tk.service.Ask(tk.enrolments[args[0]], d, life); err == nil {
			ts.Setenv("ID", string(tk.challenge.ID))
		}
	case "cancel":
		tk.challenge.Cancel()
	case "shown":
		err = tk.challenge.Shown(ctx)
	case "gone":
		err = tk.challenge.Gone(ctx)
	case "answered":
		a, failed := tk.challenge.Answer(ctx)
		ts.Check(failed)
		if got := strings.TrimSpace(string(a.Decision) + " " + a.Number); got != strings.Join(args, " ") {
			ts.Fatalf("answered %q", got)
		}
	default:
		ts.Fatalf("tokens %s is not a command", command)
	}
	ts.Check(err)
}
