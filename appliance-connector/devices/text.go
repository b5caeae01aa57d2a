package devices

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/api/tokensvcpb"
	"github.com/sallyport/sallyport/appliance-connector/texts"
)

// textTime is a little longer than the token service takes.
const textTime = 12 * time.Second

// SendText has the token service send a text message; again with the same id nothing is sent twice.
func (c *Client) SendText(ctx context.Context, t texts.Text) (texts.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, textTime)
	defer cancel()
	r := &tokensvcpb.SendTextRequest{TextId: t.ID, Number: string(t.Number), Text: t.Text, TtlMs: uint32(t.Life.Milliseconds())}
	if g := t.Gateway; g != nil {
		r.Gateway = &tokensvcpb.TextGateway{Kind: string(g.Kind), Url: g.URL, User: g.User, Secret: string(g.Secret), From: g.From, SystemType: g.SystemType, Authority: g.Authority}
	}
	a, err := c.rpc.SendText(ctx, r)
	if err != nil {
		return texts.Answer{}, fmt.Errorf("send text message: %w", err)
	}
	return texts.Answer{Outcome: textOutcome(a.GetOutcome()), Detail: a.GetDetail()}, nil
}

func textOutcome(o tokensvcpb.SendTextResponse_Outcome) texts.Outcome {
	switch o {
	case tokensvcpb.SendTextResponse_SENT:
		return texts.Sent
	case tokensvcpb.SendTextResponse_UNCERTAIN:
		return texts.Uncertain
	case tokensvcpb.SendTextResponse_BAD_NUMBER:
		return texts.BadNumber
	case tokensvcpb.SendTextResponse_CREDENTIAL:
		return texts.Credential
	case tokensvcpb.SendTextResponse_THROTTLED:
		return texts.Throttled
	case tokensvcpb.SendTextResponse_UNAVAILABLE:
		return texts.Unavailable
	case tokensvcpb.SendTextResponse_FORBIDDEN:
		return texts.Forbidden
	case tokensvcpb.SendTextResponse_NO_GATEWAY:
		return texts.NoGateway
	}
	return texts.Rejected // of a newer release, too
}
