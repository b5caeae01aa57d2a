package selfservice

import (
	"encoding/base64"
	"fmt"
	"html/template"

	"github.com/skip2/go-qrcode"

	"github.com/sallyport/sallyport"
)

// words say why something did not work; "" when there is nothing to say.
func words(why sallyport.Reason) string {
	switch why {
	case "":
		return ""
	case sallyport.ReasonCredentials:
		return "The name or the password is not right, or the account may not log in now."
	case sallyport.ReasonNotEnrolled:
		return "You have no second factor that can be asked for here. Ask your help desk for a temporary code."
	case sallyport.ReasonNotAllowed:
		return "Remote access is not set up for you. Ask your help desk."
	case sallyport.ReasonWrongNumber:
		return "The number on the phone was not the one on the page. Please try again."
	case sallyport.ReasonRejected:
		return "You said no on the phone."
	case sallyport.ReasonNotMe:
		return "Somebody said on the phone that this was not them. Call your help desk if it was you."
	case sallyport.ReasonTimeout:
		return "Nobody answered on the phone in time. Please try again, or use a code."
	case sallyport.ReasonSuperseded:
		return "A newer sign-in took over. Please try again."
	case sallyport.ReasonWrongCode:
		return "The code was not right, or was used already. Wait for the next one."
	case sallyport.ReasonTooManyCodes:
		return "Too many wrong codes. Please begin again."
	case sallyport.ReasonCancelled:
		return ""
	case sallyport.ReasonPushFailed:
		return "The question could not be sent to the phone. Type the code that the app shows."
	case sallyport.ReasonBlocked:
		return "Questions to the phone are held back for a while. Type the code that the app shows."
	case sallyport.ReasonSMSFailed:
		return "The message with the code could not be sent. Try again, or use another way."
	case sallyport.ReasonUpdateApp:
		return "The app on your phone is too old to ask you there. Type the code that it shows, and update the app."
	case sallyport.ReasonUnknownSerial:
		return "No open app has this serial number. Check it, and leave the app open on it."
	case sallyport.ReasonEnrolFailed:
		return "This was not right, or took too long. Please try again."
	case sallyport.ReasonNotAttested:
		return "This app cannot be used here: the phone's maker does not vouch for it. Install the app from your phone's own store, or set up something else."
	}
	return "That did not work. Please try again."
}

func methodWords(m sallyport.Method) string {
	switch m {
	case sallyport.MethodPush:
		return "Ask my phone"
	case sallyport.MethodCode:
		return "Type the code that the app shows"
	case sallyport.MethodSMS:
		return "Send a code by text message"
	case sallyport.MethodOTP:
		return "Type a code of my token"
	case sallyport.MethodTemporary:
		return "Use a temporary code"
	case sallyport.MethodExternal:
		return "Use my other token"
	}
	return string(m)
}

// asks says what code is asked for.
func asks(p sallyport.Prompt) string {
	switch p.Methods[0] {
	case sallyport.MethodSMS:
		return fmt.Sprintf("Code that was sent to the number that ends in %s", p.To)
	case sallyport.MethodOTP:
		return "Code that your token shows"
	case sallyport.MethodTemporary:
		return "Temporary code from the help desk"
	case sallyport.MethodExternal:
		if p.Message != "" {
			return p.Message
		}
		return "Passcode"
	}
	return "Code that the app on your phone shows"
}

func kindWords(k sallyport.AuthenticatorKind) string {
	switch k {
	case sallyport.AuthenticatorApp:
		return "The app on a phone"
	case sallyport.AuthenticatorPhone:
		return "A phone number"
	case sallyport.AuthenticatorOTP:
		return "A token that shows codes"
	}
	return string(k)
}

// picture draws a link as a QR code, for an image of the page itself.
func picture(link string) (template.URL, error) {
	code, err := qrcode.New(link, qrcode.Medium)
	if err != nil {
		return "", fmt.Errorf("draw QR code: %w", err)
	}
	png, err := code.PNG(400)
	if err != nil {
		return "", fmt.Errorf("draw QR code: %w", err)
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(png)), nil
}
