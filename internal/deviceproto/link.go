package deviceproto

import (
	"errors"
	"net"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport"
)

// maxLink bounds a link that was scanned or typed, in octets.
const maxLink = 1024

// Link invites a device to enrol. Whoever sees it can enrol in the user's place, once, until it
// expires.
type Link struct {
	// Base is the device address: "https://tokens.example.org", without a slash at its end.
	Base      string
	Tenant    sallyport.TenantID
	Enrolment sallyport.EnrolmentID
	Secret    sallyport.Key // 32 octets
}

// Text is the link as shown in the QR code. It holds the secret.
func (l Link) Text() sallyport.Secret {
	return sallyport.Secret(strings.TrimRight(l.Base, "/") + PagePath + "#e=" + string(l.Tenant) + "." + string(l.Enrolment) + "." + Encode(l.Secret))
}

// ParseLink reads what a QR code or a person gave. The error never repeats the link.
func ParseLink(text string) (Link, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxLink {
		return Link{}, errors.New("link is too long")
	}
	page, fragment, found := strings.Cut(text, "#")
	if !found {
		return Link{}, errors.New("link has no enrolment in it")
	}
	base, err := deviceAddress(page)
	if err != nil {
		return Link{}, err
	}
	value, found := strings.CutPrefix(fragment, "e=")
	parts := strings.Split(value, ".")
	if !found || len(parts) != 3 || !sallyport.ValidID(parts[0]) || !sallyport.ValidID(parts[1]) {
		return Link{}, errors.New("link has no enrolment in it")
	}
	secret, err := Decode(parts[2])
	if err != nil || len(secret) != SecretSize {
		return Link{}, errors.New("link is cut or mistyped")
	}
	return Link{Base: base, Tenant: sallyport.TenantID(parts[0]), Enrolment: sallyport.EnrolmentID(parts[1]), Secret: secret}, nil
}

// ParseAddress reads a device address as a person gives it: with or without the page's path.
func ParseAddress(text string) (string, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxLink {
		return "", errors.New("device address is too long")
	}
	base, _, _ := strings.Cut(text, PagePath)
	return deviceAddress(strings.TrimRight(base, "/") + PagePath)
}

// deviceAddress is the page's address up to /authenticator/. Plain HTTP is for this machine only.
func deviceAddress(page string) (string, error) {
	base, rest, found := strings.Cut(page, PagePath)
	if !found || rest != "" {
		return "", errors.New("link does not lead to an authenticator page")
	}
	u, err := url.Parse(base)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Opaque != "" {
		return "", errors.New("link has no usable address")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return "", errors.New("link must begin with https://")
	}
	return base, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
