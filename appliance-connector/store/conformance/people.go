package conformance

import (
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
)

// NewDomain returns a domain for tests, made out of a word.
func NewDomain(word string) sallyport.Domain {
	return sallyport.Domain{
		ID: sallyport.DomainID(word), Name: word + ".example", NetBIOS: strings.ToUpper(word),
		Servers:  []string{fmt.Sprintf("ldaps://dc1.%s.example", word), fmt.Sprintf("ldaps://dc2.%s.example:636", word)},
		BindName: "reader@" + word + ".example", BindPassword: sallyport.Secret("bind-password-of-" + word),
		Base: fmt.Sprintf("DC=%s,DC=example", word), UPNSuffixes: []string{word + ".test"},
		Scope: []sallyport.DirectoryObject{{Kind: sallyport.ObjectOU, DN: fmt.Sprintf("OU=Staff,DC=%s,DC=example", word)}},
		Every: time.Hour,
	}
}
