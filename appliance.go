package sallyport

import "time"

// Appliance is a host of the enterprise as it last told of itself.
type Appliance struct {
	ID      ApplianceID
	Name    string // of the host
	Version string // of the program
	// Site is the one that administrators assigned it to; empty: none.
	Site    SiteID
	Started time.Time
	Heard   time.Time // when it told
	// Streams are its open connections to the cloud.
	Streams []TunnelStream
	// Trouble is why its latest try to reach the cloud failed; empty after a success.
	Trouble string
	RADIUS  string // address and port of its RADIUS server
	// CertificateExpires is when the certificate ends that it shows to the cloud; it is renewed long before.
	CertificateExpires time.Time
	// ClockOffset is how far its clock is ahead of the database's; ClockKnown: it could be compared.
	ClockOffset time.Duration
	ClockKnown  bool
}

// TunnelStream is one open connection of an appliance to the cloud.
type TunnelStream struct {
	Replica  string    `json:"replica"`
	Since    time.Time `json:"since"`
	Draining bool      `json:"draining,omitempty"` // the replica is about to stop
}
