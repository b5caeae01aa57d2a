package adminapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

// call is one request of somebody who may make it, with what was sent as it is described.
type call struct {
	echo.Context
	s     *Server
	op    *operation
	actor sallyport.Actor
	// values are the parameters that were given, by name.
	values map[string]string
	// version is that of If-Match, at least 1; 0 where the operation has none.
	version int64
	body    []byte
}

func (c *call) ctx() context.Context    { return c.Request().Context() }
func (c *call) admin() *admin.Service   { return c.s.admin }
func (c *call) text(name string) string { return c.values[name] }

// time is a parameter that is a time; zero: not given.
func (c *call) time(name string) time.Time {
	t, _ := time.Parse(time.RFC3339, c.values[name]) // it was looked at, or is not there
	return t
}

// number is a parameter that is a number; 0: not given.
func (c *call) number(name string) int64 {
	n, _ := strconv.ParseInt(c.values[name], 10, 64) // likewise
	return n
}

// truth is a parameter that is true or false; nil: not given.
func (c *call) truth(name string) *bool {
	text, given := c.values[name]
	if !given {
		return nil
	}
	yes := text == "true"
	return &yes
}

// decode reads the body, which was held against its description, into v.
func (c *call) decode(v any) error {
	if err := json.Unmarshal(c.body, v); err != nil {
		return wrong("A value of the body is out of its range.")
	}
	return nil
}

// answer sends v.
func (c *call) answer(v any) error { return c.send(http.StatusOK, v) }

// versioned sends v, which is an object's version.
func (c *call) versioned(status int, version int64, v any) error {
	c.Response().Header().Set("ETag", etag(version))
	return c.send(status, v)
}

// created sends an object that was made, and says where it is.
func (c *call) created(path, id string, version int64, v any) error {
	c.Response().Header().Set("Location", Prefix+path+id)
	return c.versioned(http.StatusCreated, version, v)
}

func (c *call) send(status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return c.Blob(status, "application/json", body)
}

// empty answers that it was done.
func (c *call) empty(err error) error {
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
