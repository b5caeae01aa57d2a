package login

import (
	"testing"

	"github.com/sallyport/sallyport/cloud/edge"
)

func TestARateWithoutABurstGetsOneThatFits(t *testing.T) {
	l := Limits{PerAddress: edge.Rate{PerSecond: 1000}, PerEnterprise: edge.Rate{PerSecond: 0.1}}.withDefaults()
	if l.PerAddress.Burst != 6000 || l.PerEnterprise.Burst != 1 {
		t.Errorf("bursts %d and %d, want 6000 and 1", l.PerAddress.Burst, l.PerEnterprise.Burst)
	}
	l = Limits{PerAddress: edge.Rate{PerSecond: 1, Burst: 7}}.withDefaults()
	if l.PerAddress.Burst != 7 || l.PerEnterprise != (edge.Rate{PerSecond: 500, Burst: 2000}) {
		t.Errorf("%+v", l)
	}
}
