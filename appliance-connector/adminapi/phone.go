package adminapi

import (
	"net/http"
	"time"

	"github.com/sallyport/sallyport"
)

// phone is a phone number by its last digits.
type phone struct {
	ID       sallyport.PhoneID `json:"id"`
	Tail     string            `json:"lastDigits"`
	Enrolled *time.Time        `json:"enrolled,omitempty"`
}

func showPhone(p sallyport.Phone) phone {
	return phone{ID: p.ID, Tail: p.Number.Tail(), Enrolled: stamp(p.Enrolled)}
}

func (c *call) listPhones() error {
	list, err := c.admin().Phones(c.ctx(), c.actor, c.user())
	if err != nil {
		return err
	}
	return part(c, list, func(p sallyport.Phone) string { return newestFirst(p.Enrolled, string(p.ID)) }, showPhone)
}

func (c *call) addPhone() error {
	var in struct {
		Number string `json:"number"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	p, err := c.admin().AddPhone(c.ctx(), c.actor, c.user(), in.Number)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Location", Prefix+"/users/"+string(c.user())+"/phones/"+string(p.ID))
	return c.send(http.StatusCreated, showPhone(p))
}

func (c *call) deletePhone() error {
	return c.empty(c.admin().DeletePhone(c.ctx(), c.actor, c.user(), sallyport.PhoneID(c.text("phone"))))
}
