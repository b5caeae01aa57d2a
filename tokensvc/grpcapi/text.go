package grpcapi

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tokensvcpb"
	"github.com/sallyport/sallyport/internal/gsm7"
	"github.com/sallyport/sallyport/tokensvc/sms"
)

// maxText is the longest life of a text message.
const maxText = 10 * time.Minute

// Texts sends text messages (texts.Service).
type Texts interface {
	Send(ctx context.Context, t sallyport.TenantID, m sms.Message, g *sms.Gateway) (sms.Result, error)
}

// SendText implements the service.
func (s *Server) SendText(ctx context.Context, r *tokensvcpb.SendTextRequest) (*tokensvcpb.SendTextResponse, error) {
	t, err := tenant(ctx)
	if err != nil {
		return nil, err
	}
	m := sms.Message{ID: r.GetTextId(), To: sallyport.PhoneNumber(r.GetNumber()), Text: r.GetText(), Life: time.Duration(r.GetTtlMs()) * time.Millisecond}
	switch {
	case !sallyport.ValidID(m.ID):
		return nil, invalid("text_id must be an identifier")
	case !m.To.Valid():
		return nil, invalid("number must be in E.164")
	case m.Text == "" || !utf8.ValidString(m.Text) || !oneMessage(m.Text):
		return nil, invalid("text must fit one message: 160 characters, or 70 outside the usual alphabet")
	case m.Life <= 0 || m.Life > maxText:
		return nil, invalid("ttl_ms must be between 1 and 600000")
	}
	var gateway *sms.Gateway
	if g := r.GetGateway(); g != nil {
		gateway = &sms.Gateway{Kind: sms.Kind(g.GetKind()), URL: g.GetUrl(), User: g.GetUser(), Secret: sallyport.Secret(g.GetSecret()),
			From: g.GetFrom(), SystemType: g.GetSystemType(), Authority: g.GetAuthority()}
		if err := gateway.Check(); err != nil {
			return &tokensvcpb.SendTextResponse{Outcome: tokensvcpb.SendTextResponse_REJECTED, Detail: err.Error()}, nil
		}
	}
	result, err := s.cfg.Texts.Send(ctx, t, m, gateway)
	if err != nil {
		return nil, err
	}
	return &tokensvcpb.SendTextResponse{Outcome: textOutcomes[result.Outcome], Detail: result.Detail}, nil
}

// oneMessage reports whether a text fits one message.
func oneMessage(text string) bool {
	if written, ok := gsm7.Encode(text); ok {
		return len(written) <= gsm7.Most
	}
	units := 0
	for _, c := range text {
		units++
		if c > 0xffff {
			units++
		}
	}
	return units <= gsm7.MostUCS2
}

var textOutcomes = map[sms.Outcome]tokensvcpb.SendTextResponse_Outcome{
	sms.Sent: tokensvcpb.SendTextResponse_SENT, sms.Uncertain: tokensvcpb.SendTextResponse_UNCERTAIN, sms.BadNumber: tokensvcpb.SendTextResponse_BAD_NUMBER,
	sms.Credential: tokensvcpb.SendTextResponse_CREDENTIAL, sms.Throttled: tokensvcpb.SendTextResponse_THROTTLED,
	sms.Unavailable: tokensvcpb.SendTextResponse_UNAVAILABLE, sms.Rejected: tokensvcpb.SendTextResponse_REJECTED,
	sms.Forbidden: tokensvcpb.SendTextResponse_FORBIDDEN, sms.NoGateway: tokensvcpb.SendTextResponse_NO_GATEWAY,
}
