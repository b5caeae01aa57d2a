package tunnel

import (
	"context"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/internal/pki"
)

// Bounds of a join.
const (
	maxJoin      = 32 << 10
	maxJoinPeers = 16
)

// join carries the message of an appliance without keys to the others of its enterprise, one after
// the other, until one gives a good answer.
func (h *Hub) join(ctx context.Context, id pki.Identity, m *tunnelpb.JoinRequest) (*tunnelpb.JoinResponse, error) {
	if len(m.GetMessage()) == 0 || len(m.GetMessage()) > maxJoin {
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "The join message has a wrong size.", nil)
	}
	// Who asks is what its certificate says, not what it says.
	body := &tunnelpb.JoinRequest{ApplianceId: string(id.Appliance), Message: m.GetMessage()}
	resp, err := h.do(ctx, &errand{
		tenant: id.Tenant, except: id.Appliance, join: true, max: maxJoinPeers,
		req: &tunnelpb.Request{Body: &tunnelpb.Request_Join{Join: body}},
	})
	if err != nil {
		return nil, err
	}
	if resp.GetJoin() == nil {
		return nil, sallyport.Errorf(sallyport.CodeInternal, "The other appliance gave no answer to the join.", nil)
	}
	return resp.GetJoin(), nil
}
