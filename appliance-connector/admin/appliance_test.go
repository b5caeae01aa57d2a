package admin

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
)

func TestEachProblemOfAnApplianceHasItsAdvice(t *testing.T) {
	well := sallyport.Appliance{ID: "a", Version: "v1.4.0", Heard: morning, Streams: []sallyport.TunnelStream{{Replica: "c"}},
		CertificateExpires: morning.Add(20 * 24 * time.Hour), ClockKnown: true}
	for what, c := range map[string]struct {
		change func(*sallyport.Appliance)
		want   string // topics, "!" behind the urgent ones
		words  string
	}{
		"well":                             {func(*sallyport.Appliance) {}, "", ""},
		"two minutes":                      {func(a *sallyport.Appliance) { a.Heard = morning.Add(-2 * time.Minute) }, "", ""},
		"silent":                           {func(a *sallyport.Appliance) { a.Heard = morning.Add(-121 * time.Second) }, "silence!", "for 2 minutes"},
		"silent, and was not connected":    {func(a *sallyport.Appliance) { a.Heard, a.Streams = morning.Add(-72*time.Hour), nil }, "silence!", "for 3 days"},
		"not connected":                    {func(a *sallyport.Appliance) { a.Streams, a.Trouble = nil, "407 %d" }, "streams!", "It says: 407 %d"},
		"certificate in a week":            {func(a *sallyport.Appliance) { a.CertificateExpires = morning.Add(7 * 24 * time.Hour) }, "certificate", "in 7 days"},
		"certificate in a day":             {func(a *sallyport.Appliance) { a.CertificateExpires = morning.Add(24 * time.Hour) }, "certificate!", "in 24 hours"},
		"certificate ended":                {func(a *sallyport.Appliance) { a.CertificateExpires = morning }, "certificate!", "has ended"},
		"certificate not known":            {func(a *sallyport.Appliance) { a.CertificateExpires = time.Time{} }, "", ""},
		"clock a little off":               {func(a *sallyport.Appliance) { a.ClockOffset = 5 * time.Second }, "clock", "5 seconds ahead of"},
		"clock far off":                    {func(a *sallyport.Appliance) { a.ClockOffset = -3 * time.Minute }, "clock!", "3 minutes behind"},
		"clock that nobody can tell":       {func(a *sallyport.Appliance) { a.ClockOffset, a.ClockKnown = time.Hour, false }, "", ""},
		"older":                            {func(a *sallyport.Appliance) { a.Version = "v1.3.12" }, "version", "v1.3.12, and others run v1.4.0"},
		"a version that is none":           {func(a *sallyport.Appliance) { a.Version = "development build" }, "", ""},
		"everything, the urgent one first": {func(a *sallyport.Appliance) { a.Streams, a.Version, a.ClockOffset = nil, "v0.1.0", time.Minute }, "streams! clock! version", ""},
	} {
		a := well
		c.change(&a)
		var topics, texts []string
		for _, v := range advise(a, "v1.4.0", morning) {
			topic := string(v.Topic)
			if v.Urgent {
				topic += "!"
			}
			topics, texts = append(topics, topic), append(texts, v.Text)
		}
		if got := strings.Join(topics, " "); got != c.want || !strings.Contains(strings.Join(texts, " "), c.words) {
			t.Errorf("%s: %q %q, want %q with %q", what, got, texts, c.want, c.words)
		}
	}
}

func TestAppliancesAreShownWithTheirSites(t *testing.T) {
	s, db := gateways(t)
	s.cfg.Watched.Appliance = "a"
	for id, version := range map[sallyport.ApplianceID]string{"a": "v1.10.0", "b": "v1.9.0"} {
		if err := db.ReportAppliance(t.Context(), sallyport.Appliance{ID: id, Name: string(id), Version: version, Heard: morning, Streams: []sallyport.TunnelStream{{Replica: "c"}}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.PutSite(t.Context(), keeper, sallyport.Site{Name: "North", Kind: sallyport.SiteActive, Appliances: []sallyport.ApplianceID{"b"}}); err != nil {
		t.Fatal(err)
	}
	c, err := s.Appliances(t.Context(), keeper)
	if err != nil || c.Enterprise != "hospital" || len(c.Appliances) != 2 || !c.Appliances[0].Own || c.Appliances[1].SiteName != "North" || len(c.Appliances[0].Advice) != 0 ||
		len(c.Appliances[1].Advice) != 1 || c.Appliances[1].Advice[0].Topic != TopicVersion {
		t.Errorf("%+v, %v", c, err)
	}
	if err := s.RemoveAppliance(t.Context(), keeper, "b"); err != nil {
		t.Fatal(err)
	}
	if c, err = s.Appliances(t.Context(), keeper); err != nil || len(c.Appliances) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestWhereRequestsComeFromIsReadAsPeopleWriteIt(t *testing.T) {
	networks, hosts, err := ParseSources([]string{"192.0.2.1", "192.0.2.77/24", "VPN.hospital.example.", "2001:db8::1", "::ffff:10.0.0.1"})
	if err != nil || strings.Join(hosts, " ") != "vpn.hospital.example" || len(networks) != 4 || networks[1] != netip.MustParsePrefix("192.0.2.0/24") ||
		networks[3] != netip.MustParsePrefix("10.0.0.1/32") {
		t.Errorf("%v %v %v", networks, hosts, err)
	}
	for _, wrong := range []string{"192.0.2.1/33", "1.2.3", "fe80::1%eth0", "a/b", ""} {
		if _, err := ParseNetwork(wrong); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func FuzzParseSources(f *testing.F) {
	for _, seed := range []string{"192.0.2.1", "192.0.2.0/24", "vpn.example", "::1/128", "fe80::1%eth0", "::ffff:1.2.3.4/120", "/", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		networks, _, err := ParseSources([]string{text})
		if err != nil {
			return
		}
		for _, p := range networks {
			if !p.IsValid() || p.Masked() != p || p.Addr().Zone() != "" {
				t.Errorf("%q became %v", text, p)
			}
		}
	})
}
