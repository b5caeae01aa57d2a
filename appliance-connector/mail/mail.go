// Package mail sends an appliance's messages by SMTP: one at once, to try the settings, and those that wait in
// the store, again and again until the server takes them or three days are over. It shows the password to the
// server alone, and to no server that has not proved who it is.
package mail

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/sallyport/sallyport"
)

// sendTime bounds one message, from dialling to the server's last word.
const sendTime = 2 * time.Minute

// Security is how the connection to the server is protected.
type Security string

const (
	StartTLS Security = "starttls"
	TLS      Security = "tls"
	// NoTLS sends everything readable, and no password.
	NoTLS Security = "none"
)

// Server is the one that takes an appliance's messages.
type Server struct {
	Host     string
	Port     int
	Security Security
	// User is empty when the server asks nobody who they are.
	User     string
	Password sallyport.Secret
	From     string // an address
	// Authority holds certificates in PEM that may sign the server's own; empty: the system's.
	Authority string
}

// Failure is why a message was not sent, in words for an administrator.
type Failure struct {
	// Step is what failed: "connect", "encrypt", "sign in", "send".
	Step string
	// Message says what it means and what to do, Answer what the server said.
	Message, Answer string
	// Permanent: the server will not take this message, however often it is tried.
	Permanent bool
	cause     error
}

func (f *Failure) Error() string { return "send mail: " + f.Step + ": " + f.cause.Error() }
func (f *Failure) Unwrap() error { return f.cause }

// Send sends a message and returns when the server has taken it. An error is a *Failure.
func Send(ctx context.Context, server Server, m sallyport.Mail) error {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	msg, err := compose(server, m)
	if err != nil {
		return &Failure{Step: "send", Message: "The message cannot be written. Look at the addresses.", Permanent: true, cause: err}
	}
	client, err := newClient(server)
	if err != nil {
		return &Failure{Step: "connect", Message: "The settings of the mail server cannot be used.", cause: err}
	}
	conn, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return explainDial(server, err)
	}
	// Sending heeds the connection's deadline, not ctx.
	stop := context.AfterFunc(ctx, func() { _ = client.CloseWithSMTPClient(conn) })
	defer stop()
	err = client.SendWithSMTPClient(conn, msg)
	_ = client.CloseWithSMTPClient(conn) // the server has said what there is to say
	if err != nil {
		return explainSend(err)
	}
	return nil
}

func newClient(server Server) (*gomail.Client, error) {
	config, err := tlsConfig(server)
	if err != nil {
		return nil, err
	}
	options := []gomail.Option{gomail.WithPort(server.Port), gomail.WithTimeout(sendTime / 4), gomail.WithTLSConfig(config)}
	switch server.Security {
	case TLS:
		options = append(options, gomail.WithSSL())
	case StartTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case NoTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		return nil, fmt.Errorf("security %q", server.Security)
	}
	if server.User != "" {
		if server.Security == NoTLS {
			return nil, errors.New("a password would travel readable")
		}
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(server.User), gomail.WithPassword(string(server.Password)))
	}
	return gomail.NewClient(server.Host, options...)
}

func tlsConfig(server Server) (*tls.Config, error) {
	config := &tls.Config{ServerName: server.Host, MinVersion: tls.VersionTLS12}
	if server.Authority != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(server.Authority)) {
			return nil, errors.New("the authority holds no certificate")
		}
	}
	return config, nil
}

// compose writes a message. Its id is the same at every try, so that a server that takes it twice can tell.
func compose(server Server, m sallyport.Mail) (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := errors.Join(msg.From(server.From), msg.To(m.Recipients...)); err != nil {
		return nil, err
	}
	_, host, _ := strings.Cut(server.From, "@")
	msg.SetMessageIDWithValue(m.ID + "@" + host)
	msg.SetDateWithValue(m.Created)
	msg.Subject(m.Subject)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: nobody answers that they are away
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if a := m.Attachment; a != nil {
		if err := msg.AttachReader(a.Name, bytes.NewReader(a.Data), gomail.WithFileContentType(gomail.ContentType(a.Type))); err != nil {
			return nil, err
		}
	}
	return msg, nil
}
