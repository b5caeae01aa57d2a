package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/textproto"
	"strconv"
	"strings"

	gomail "github.com/wneessen/go-mail"
)

// maxAnswer bounds what is kept of a server's answer, in octets.
const maxAnswer = 500

// explainDial says what a connection that did not come about means.
func explainDial(server Server, err error) *Failure {
	f := &Failure{Step: "connect", Answer: answer(err), cause: err}
	var (
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		said      *textproto.Error
		dialled   *net.OpError
	)
	switch {
	case errors.As(err, &dns):
		f.Message = "The name of the server is not known: " + server.Host + ". Look at the name, and at this appliance's DNS."
	case errors.As(err, &authority):
		f.Step, f.Message = "encrypt", "The server's certificate is from an authority that is not trusted here. Give the authority's certificate in the settings."
	case errors.As(err, &name):
		f.Step, f.Message = "encrypt", "The server's certificate is for another name than "+server.Host+". Use the name that is in the certificate."
	case errors.As(err, &invalid):
		f.Step, f.Message = "encrypt", "The server's certificate is not good, or no longer: it may have expired, or this appliance's clock is wrong."
	case errors.As(err, &record):
		f.Step, f.Message = "encrypt", "The server does not speak TLS on this port. Use STARTTLS, which is usual on ports 587 and 25."
	case errors.As(err, &said) && (said.Code == 535 || said.Code == 534 || said.Code == 530 || said.Code == 454):
		f.Step, f.Message = "sign in", "The server does not take this user name and password."
	case errors.As(err, &said):
		f.Message = "The server refused the connection. Its answer says why."
	case strings.Contains(err.Error(), "STARTTLS"):
		f.Step, f.Message = "encrypt", "The server does not offer STARTTLS on this port. Use TLS, which is usual on port 465, or another port."
	case strings.Contains(strings.ToUpper(err.Error()), "AUTH"):
		f.Step, f.Message = "sign in", "The server offers no way to sign in that keeps the password safe. Leave the user name empty if it needs none."
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &dialled) && dialled.Timeout():
		f.Message = "The server did not answer in time. Look at host and port, and at the firewalls between. With TLS and STARTTLS mixed up, both sides wait as well."
	case errors.As(err, &dialled):
		f.Message = "Nothing answers at " + net.JoinHostPort(server.Host, strconv.Itoa(server.Port)) + ". Look at host and port, and at the firewalls between."
	default:
		f.Message = "The connection broke off. If the server wants TLS from the beginning (port 465), or STARTTLS (587), say so in the settings."
	}
	return f
}

// explainSend says what a message that was not taken means.
func explainSend(err error) *Failure {
	f := &Failure{Step: "send", Message: "The server did not take the message.", Answer: answer(err), cause: err}
	var e *gomail.SendError
	if !errors.As(err, &e) {
		f.Message = "The connection broke off before the server took the message."
		return f
	}
	f.Permanent = e.ErrorCode() >= 500
	switch e.Reason {
	case gomail.ErrSMTPMailFrom:
		f.Message = "The server does not take messages from this sender. Many take only addresses of those who signed in."
	case gomail.ErrSMTPRcptTo:
		f.Message = "The server does not take messages for a recipient. It may want a user name, or not know the address."
	case gomail.ErrSMTPData, gomail.ErrSMTPDataClose, gomail.ErrWriteContent:
		f.Message = "The server did not take the message itself. It may be too large for it."
	}
	return f
}

// answer is what the server said, or what the system did, cut.
func answer(err error) string {
	s, _, _ := strings.Cut(strings.ReplaceAll(err.Error(), `"`, ""), ", affected recipient(s)")
	s = strings.Join(strings.Fields(s), " ")
	return strings.ToValidUTF8(s[:min(len(s), maxAnswer)], "")
}
