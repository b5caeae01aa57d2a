package directory

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

const (
	// pageSize is below the 1000 entries that Active Directory gives at once (MaxPageSize).
	pageSize = 500
	// pageTimeout bounds one page: a controller may search long before it has the first.
	pageTimeout = 30 * time.Second
	maxPages    = 20_000
)

// errDone ends a paged search early, without an error.
var errDone = errors.New("enough was read")

// paged runs a search page by page on one connection and calls each with every entry. Between two
// pages the connection waits for each.
func (c *conn) paged(ctx context.Context, req *ldap.SearchRequest, each func(*ldap.Entry) error) error {
	paging := ldap.NewControlPaging(pageSize)
	others := req.Controls
	for range maxPages {
		req.Controls = append(append([]ldap.Control{}, others...), paging)
		var res *ldap.SearchResult
		err := c.within(ctx, max(pageTimeout, c.timeout), func() (err error) {
			res, err = c.Search(req)
			return err
		})
		if err != nil {
			return fmt.Errorf("search directory: %w", err)
		}
		for _, e := range res.Entries {
			if err := each(e); err != nil {
				c.abandon() // or the server would keep the rest for us
				if errors.Is(err, errDone) {
					return nil
				}
				return err
			}
		}
		next, ok := ldap.FindControl(res.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
		if !ok || len(next.Cookie) == 0 {
			return nil
		}
		paging.SetCookie(next.Cookie)
	}
	c.abandon()
	return errors.New("search directory: it does not end")
}

// paged runs a paged search as the service account on the first server that can be asked. Once entries
// have come, another server is not tried.
func (r *realm) paged(ctx context.Context, req *ldap.SearchRequest, each func(*ldap.Entry) error) error {
	begun := false
	var inner error // an error of each is nothing against the server
	err := r.on(ctx, func(s *server) (bool, error) {
		err := s.searches.with(ctx, func(c *conn) error {
			return c.paged(ctx, req, func(e *ldap.Entry) error {
				begun = true
				if inner = each(e); inner != nil {
					return errDone
				}
				return nil
			})
		})
		return begun, err
	})
	if inner != nil && !errors.Is(inner, errDone) {
		return inner
	}
	return err
}

// whole returns all values of an attribute of an entry. Active Directory gives at most 1500 at once and
// names the rest in the attribute ("member;range=0-1499"; MS-ADTS section 3.1.1.3.1.3.3).
func (r *realm) whole(ctx context.Context, e *ldap.Entry, attribute string) ([]string, error) {
	var values []string
	for range maxPages {
		got, next, err := ranged(e, attribute)
		if err != nil {
			return nil, err
		}
		values = append(values, got...)
		if next < 0 {
			return values, nil
		}
		res, err := r.search(ctx, entryAt(e.DN, fmt.Sprintf("%s;range=%d-*", attribute, next)))
		if err != nil {
			return nil, fmt.Errorf("read the rest of %s: %w", attribute, err)
		}
		if len(res.Entries) != 1 {
			return values, nil // deleted meanwhile
		}
		e = res.Entries[0]
	}
	return nil, fmt.Errorf("read %s: it does not end", attribute)
}

// ranged returns the values of an attribute that an entry brought, and the number of the next one;
// -1: there is none.
func ranged(e *ldap.Entry, attribute string) (values []string, next int, err error) {
	for _, a := range e.Attributes {
		name, options, _ := strings.Cut(a.Name, ";")
		if !strings.EqualFold(name, attribute) {
			continue
		}
		if len(a.Values) == 0 && options == "" {
			continue // beside the range, the attribute itself may come empty
		}
		span, isRange := strings.CutPrefix(strings.ToLower(options), "range=")
		if !isRange {
			return a.Values, -1, nil
		}
		_, last, _ := strings.Cut(span, "-")
		if last == "*" {
			return a.Values, -1, nil
		}
		n, err := strconv.Atoi(last)
		if err != nil || n < 0 || n > 1<<30 || len(a.Values) == 0 {
			return nil, 0, fmt.Errorf("read %s: the range %q is none", attribute, span)
		}
		return a.Values, n + 1, nil
	}
	return nil, -1, nil
}
