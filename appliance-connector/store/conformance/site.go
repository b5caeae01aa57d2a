package conformance

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

func siteComesBack(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	for _, id := range []string{"a", "b", "c"} {
		must(t, s.ReportAppliance(ctx, NewAppliance(id)))
	}
	south, err := s.PutSite(ctx, sallyport.Site{Name: "südlich", Kind: sallyport.SiteStandby})
	must(t, err)
	east, err := s.PutSite(ctx, sallyport.Site{ID: "east", Name: "Östlich", Kind: sallyport.SiteActive})
	must(t, err)
	want := sallyport.Site{Name: "North", Kind: sallyport.SiteActive, Primary: south.ID, Secondary: east.ID, Appliances: []sallyport.ApplianceID{"b", "a"},
		Ranges: []netip.Prefix{netip.MustParsePrefix("10.2.0.0/16"), netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("2001:db8::/48")}}
	saved, err := s.PutSite(ctx, want)
	must(t, err)
	want.ID, want.Version, want.Appliances = saved.ID, 1, []sallyport.ApplianceID{"a", "b"}
	got, err := s.Site(ctx, saved.ID)
	must(t, err)
	if saved.ID == "" || !reflect.DeepEqual(got, want) || !reflect.DeepEqual(saved, want) {
		t.Fatalf("got %+v, saved %+v, want %+v", got, saved, want)
	}
	want.Name, want.Ranges, want.Secondary, want.Appliances = "NORTH", want.Ranges[:1], "", []sallyport.ApplianceID{"c"}
	saved, err = s.PutSite(ctx, want)
	must(t, err)
	want.Version = 2
	if got, err = s.Site(ctx, saved.ID); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v", got, err)
	}
	list, err := s.Sites(ctx)
	must(t, err)
	if len(list) != 3 || list[0].ID != want.ID || list[1].ID != south.ID || list[2].ID != "east" {
		t.Errorf("not by name: %+v", list)
	}
	wantCode(t, s.DeleteSite(ctx, south.ID, south.Version), sallyport.CodeConflict) // North fails over to it
	must(t, s.DeleteSite(ctx, want.ID, 2))
	must(t, s.DeleteSite(ctx, south.ID, south.Version))
	_, err = s.Site(ctx, want.ID)
	wantCode(t, err, sallyport.CodeNotFound)
	appliances, err := s.Appliances(ctx)
	must(t, err)
	for _, a := range appliances {
		if a.Site != "" {
			t.Errorf("%s belongs to a site that is gone", a.ID)
		}
	}
}

func siteRefused(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	must(t, s.ReportAppliance(ctx, NewAppliance("a")))
	good := func() sallyport.Site {
		return sallyport.Site{ID: "x", Name: "X", Kind: sallyport.SiteActive, Ranges: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, Appliances: []sallyport.ApplianceID{"a"}}
	}
	_, err := s.PutSite(ctx, good())
	must(t, err)
	for what, c := range map[string]struct {
		change func(*sallyport.Site)
		want   sallyport.Code
		words  string
	}{
		"no name":               {func(x *sallyport.Site) { x.Name = "" }, sallyport.CodeInvalid, "name"},
		"a name that is taken":  {func(x *sallyport.Site) { x.Name = "x" }, sallyport.CodeConflict, `"X"`},
		"no kind":               {func(x *sallyport.Site) { x.Kind = "cold" }, sallyport.CodeInvalid, "standby"},
		"no network":            {func(x *sallyport.Site) { x.Ranges = []netip.Prefix{netip.MustParsePrefix("10.1.0.1/16")} }, sallyport.CodeInvalid, "10.1.0.0/16"},
		"a mapped network":      {func(x *sallyport.Site) { x.Ranges = []netip.Prefix{netip.MustParsePrefix("::ffff:10.1.0.0/112")} }, sallyport.CodeInvalid, ""},
		"a network twice":       {func(x *sallyport.Site) { x.Ranges = append(x.Ranges, x.Ranges...) }, sallyport.CodeInvalid, "twice"},
		"another's network":     {func(x *sallyport.Site) { x.Ranges = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")} }, sallyport.CodeConflict, `"X"`},
		"itself":                {func(x *sallyport.Site) { x.Primary = "y" }, sallyport.CodeInvalid, "itself"},
		"no such site":          {func(x *sallyport.Site) { x.Primary = "z" }, sallyport.CodeNotFound, "failover"},
		"a secondary alone":     {func(x *sallyport.Site) { x.Secondary = "x" }, sallyport.CodeInvalid, "primary"},
		"the same site twice":   {func(x *sallyport.Site) { x.Primary, x.Secondary = "x", "x" }, sallyport.CodeInvalid, "another"},
		"an unknown appliance":  {func(x *sallyport.Site) { x.Appliances = []sallyport.ApplianceID{"zz"} }, sallyport.CodeNotFound, "appliance"},
		"an appliance twice":    {func(x *sallyport.Site) { x.Appliances = []sallyport.ApplianceID{"a", "a"} }, sallyport.CodeInvalid, "twice"},
		"a version of nothing":  {func(x *sallyport.Site) { x.Version = 3 }, sallyport.CodeNotFound, ""},
		"the id of another one": {func(x *sallyport.Site) { x.ID = "x" }, sallyport.CodeConflict, ""},
	} {
		x := good()
		x.ID, x.Name, x.Ranges, x.Appliances = "y", "Y", []netip.Prefix{netip.MustParsePrefix("10.2.0.0/16")}, nil
		c.change(&x)
		_, err := s.PutSite(ctx, x)
		if sallyport.ErrorCode(err) != c.want || !strings.Contains(sallyport.ErrorMessage(err), c.words) {
			t.Errorf("%s: %v, want %s with %q", what, err, c.want, c.words)
		}
	}
	if list, err := s.Sites(ctx); err != nil || len(list) != 1 || list[0].Version != 1 {
		t.Errorf("something was saved: %+v, %v", list, err)
	}
}

// siteTakesAppliances: an appliance moves from site to site, and who edits the one that lost it is told.
func siteTakesAppliances(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	must(t, s.ReportAppliance(ctx, NewAppliance("a")))
	x, err := s.PutSite(ctx, sallyport.Site{ID: "x", Name: "X", Kind: sallyport.SiteActive, Appliances: []sallyport.ApplianceID{"a"}})
	must(t, err)
	before, err := s.Revision(ctx)
	must(t, err)
	_, err = s.As(helpDesk).PutSite(ctx, sallyport.Site{ID: "y", Name: "Y", Kind: sallyport.SiteActive, Appliances: []sallyport.ApplianceID{"a"}})
	must(t, err)
	if after, err := s.Revision(ctx); err != nil || after == before {
		t.Errorf("the other appliances are not told: %v", err)
	}
	x.Name = "Mine"
	_, err = s.PutSite(ctx, x)
	wantCode(t, err, sallyport.CodeConflict)
	if m := sallyport.ErrorMessage(err); !strings.Contains(m, helpDesk.Name) {
		t.Errorf("the message %q does not say who", m)
	}
	wantCode(t, s.DeleteSite(ctx, "x", 1), sallyport.CodeConflict)
	if x, err = s.Site(ctx, "x"); err != nil || len(x.Appliances) != 0 || x.Version != 2 {
		t.Errorf("it has it still: %+v, %v", x, err)
	}
	page, err := s.AuditRecords(ctx, store.AuditQuery{})
	must(t, err)
	var actions []string
	for _, r := range page.Records {
		actions = append(actions, r.Action+" "+r.ObjectID)
	}
	if got := strings.Join(actions, ", "); !strings.HasPrefix(got, "site.add y, site.change x, site.add x") {
		t.Errorf("recorded: %s", got)
	}
}
