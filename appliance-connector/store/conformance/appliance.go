package conformance

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/store"
)

// NewAppliance returns an appliance for tests, as it tells of itself.
func NewAppliance(id string) sallyport.Appliance {
	return sallyport.Appliance{
		ID: sallyport.ApplianceID(id), Name: id + ".hospital.example", Version: "v1.2.3", Started: start.Add(-time.Hour), Heard: start,
		Streams: []sallyport.TunnelStream{{Replica: "cloud-1", Since: start.Add(-time.Minute)}, {Replica: "cloud-2", Since: start, Draining: true}},
		RADIUS:  "[::]:1812", CertificateExpires: start.Add(30 * 24 * time.Hour), ClockOffset: -1500 * time.Microsecond, ClockKnown: true,
	}
}

func applianceReports(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	want := NewAppliance("b")
	must(t, s.ReportAppliance(ctx, want))
	must(t, s.ReportAppliance(ctx, NewAppliance("a")))
	list, err := s.Appliances(ctx)
	must(t, err)
	if len(list) != 2 || !reflect.DeepEqual(list[0], NewAppliance("a")) || !reflect.DeepEqual(list[1], want) {
		t.Fatalf("got %+v", list)
	}
	site, err := s.PutSite(ctx, sallyport.Site{Name: "North", Kind: sallyport.SiteActive, Appliances: []sallyport.ApplianceID{"b"}})
	must(t, err)
	before, err := s.Revision(ctx)
	must(t, err)
	want.Heard, want.Streams, want.Trouble, want.ClockKnown, want.ClockOffset = start.Add(15*time.Second), []sallyport.TunnelStream{}, "proxy:\x00 refused "+strings.Repeat("x", 5000), false, 0
	want.Name, want.Started, want.CertificateExpires = "a.first", time.Time{}, time.Time{}
	must(t, s.ReportAppliance(ctx, want))
	if list, err = s.Appliances(ctx); err != nil || len(list) != 2 {
		t.Fatal(len(list), err)
	}
	got := list[0] // by its name
	if got.Site != site.ID || len(got.Trouble) != 1024 || strings.Contains(got.Trouble, "\x00") {
		t.Errorf("site %q, trouble of %d octets", got.Site, len(got.Trouble))
	}
	want.Site, want.Trouble = site.ID, got.Trouble
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if after, err := s.Revision(ctx); err != nil || after != before {
		t.Errorf("a report has everybody read the configuration again: %v", err)
	}
	must(t, s.As(helpDesk).RenameAppliance(ctx, "b", "Cellar"))
	must(t, s.ReportAppliance(ctx, want)) // which does not change the name that people gave it
	wantCode(t, s.RenameAppliance(ctx, "a", "CELLAR"), sallyport.CodeConflict)
	wantCode(t, s.RenameAppliance(ctx, "c", "Attic"), sallyport.CodeNotFound)
	wantCode(t, s.RenameAppliance(ctx, "a", "a\x00b"), sallyport.CodeInvalid)
	if list, err = s.Appliances(ctx); err != nil || list[1].Name != "Cellar" || list[1].ID != "b" {
		t.Errorf("renamed: %+v, %v", list, err)
	}
	must(t, s.RenameAppliance(ctx, "b", ""))
	if list, err = s.Appliances(ctx); err != nil || list[0].Name != "a.first" {
		t.Errorf("the name of its host again: %+v, %v", list, err)
	}
	wantCode(t, s.ReportAppliance(ctx, sallyport.Appliance{ID: "no id", Heard: start}), sallyport.CodeInvalid)
	wantCode(t, s.ReportAppliance(ctx, sallyport.Appliance{ID: "c"}), sallyport.CodeInvalid)
}

func applianceRemoved(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	for _, id := range []string{"a", "b"} {
		must(t, s.ReportAppliance(ctx, NewAppliance(id)))
		must(t, s.RecordGatewayHeard(ctx, []sallyport.GatewayHealth{{Integration: "vpn", Appliance: sallyport.ApplianceID(id), Heard: start}}))
		must(t, s.RecordUnknownSources(ctx, []sallyport.UnknownSource{{Appliance: sallyport.ApplianceID(id), Source: netip.MustParseAddr("10.9.9.9"), First: start, Last: start, Count: 1}}))
	}
	site, err := s.PutSite(ctx, sallyport.Site{Name: "North", Kind: sallyport.SiteActive, Appliances: []sallyport.ApplianceID{"a", "b"}})
	must(t, err)
	must(t, s.As(helpDesk).RemoveAppliance(ctx, "a"))
	wantCode(t, s.RemoveAppliance(ctx, "a"), sallyport.CodeNotFound)
	wantCode(t, s.RemoveAppliance(ctx, "no id"), sallyport.CodeInvalid)
	list, err := s.Appliances(ctx)
	must(t, err)
	if len(list) != 1 || list[0].ID != "b" {
		t.Errorf("left: %+v", list)
	}
	health, err := s.GatewayHealth(ctx, "vpn")
	must(t, err)
	unknown, err := s.UnknownSources(ctx, start.Add(-time.Hour))
	must(t, err)
	if len(health) != 1 || health[0].Appliance != "b" || len(unknown) != 1 || unknown[0].Appliance != "b" {
		t.Errorf("what it heard stays: %+v %+v", health, unknown)
	}
	if got, err := s.Site(ctx, site.ID); err != nil || len(got.Appliances) != 1 || got.Version != 2 {
		t.Errorf("its site: %+v, %v", got, err)
	}
	page, err := s.AuditRecords(ctx, store.AuditQuery{Text: "appliance.remove"})
	must(t, err)
	if len(page.Records) != 1 || page.Records[0].ObjectID != "a" || page.Records[0].Actor.Name != helpDesk.Name {
		t.Errorf("recorded: %+v", page.Records)
	}
	must(t, s.ReportAppliance(ctx, NewAppliance("a"))) // it runs still
	if list, err = s.Appliances(ctx); err != nil || len(list) != 2 || list[0].Site != "" {
		t.Errorf("one that runs: %+v, %v", list, err)
	}
}

// clockOfDatabase: an engine with a clock of its own tells about the time that it is.
func clockOfDatabase(t *testing.T, e Engine) {
	address := e.Fresh(t)
	s := Open(t, address)
	now, known, err := s.Clock(t.Context())
	must(t, err)
	if postgres := strings.HasPrefix(address, "postgres"); known != postgres {
		t.Fatalf("known: %v", known)
	}
	if off := time.Until(now); known && (off > time.Hour || off < -time.Hour) {
		t.Errorf("it is %v", now)
	}
}

func radiusCounted(t *testing.T, e Engine) {
	s, ctx := Open(t, e.Fresh(t)), t.Context()
	var list []store.RADIUSActivity
	for i, o := range []sallyport.RADIUSOutcome{sallyport.RADIUSAccepted, sallyport.RADIUSAccepted, sallyport.RADIUSRejected, sallyport.RADIUSChallenged, sallyport.RADIUSDropped} {
		list = append(list, store.RADIUSActivity{Time: start.Add(time.Duration(i) * time.Second), Integration: "vpn", Outcome: o},
			store.RADIUSActivity{Time: start.Add(time.Duration(i-9) * time.Second), Integration: "vpn", Outcome: o})
	}
	must(t, s.RecordRADIUS(ctx, append(list, store.RADIUSActivity{Time: start, Outcome: sallyport.RADIUSDropped})))
	got, err := s.CountRADIUS(ctx, start)
	must(t, err)
	want := map[sallyport.IntegrationID]store.RADIUSCounts{"vpn": {Accepted: 2, Rejected: 1, Challenged: 1, Dropped: 1}, "": {Dropped: 1}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}
