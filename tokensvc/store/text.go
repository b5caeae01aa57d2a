package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
)

// TextResult is what became of a text message. Of the message itself nothing is kept.
type TextResult struct {
	Outcome int    `json:"o"`
	Detail  string `json:"d,omitempty"`
}

// sendingText stands for a message that somebody is sending, or was when the replica died.
const sendingText = "sending"

func textKey(t sallyport.TenantID, id string) string {
	return fmt.Sprintf("sp:{%s}:ts:text:%s", t, id)
}

// ClaimText takes a message to send it. When somebody has taken it, mine is false, and the result is what became
// of it; nil as long as that is not known. The claim outlives the message's life.
func (s *Store) ClaimText(ctx context.Context, t sallyport.TenantID, id string, life time.Duration) (mine bool, r *TextResult, err error) {
	err = s.redis.SetArgs(ctx, textKey(t, id), sendingText, redis.SetArgs{Mode: "NX", TTL: life + keep}).Err()
	if err == nil {
		return true, nil, nil
	}
	if !errors.Is(err, redis.Nil) {
		return false, nil, unavailable("take text message", err)
	}
	r, err = s.TextResult(ctx, t, id)
	return false, r, err
}

// TextResult returns what became of a message, nil as long as that is not known.
func (s *Store) TextResult(ctx context.Context, t sallyport.TenantID, id string) (*TextResult, error) {
	text, err := absent(s.redis.Get(ctx, textKey(t, id)))
	if err != nil || text == "" || text == sendingText {
		return nil, unavailable("read text message", err)
	}
	var r TextResult
	if err := decode(text, &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// SetTextResult notes what became of a message, for as long as it is said to be of use.
func (s *Store) SetTextResult(ctx context.Context, t sallyport.TenantID, id string, r TextResult, life time.Duration) error {
	return unavailable("keep text message's result", s.redis.Set(ctx, textKey(t, id), encode(r), life).Err())
}

// countedFor is how long messages by the operator's gateway are counted together.
const countedFor = time.Hour

// CountText counts a message of an enterprise by the operator's gateway, and returns how many there were within an
// hour that began with the first of them.
func (s *Store) CountText(ctx context.Context, t sallyport.TenantID) (int64, error) {
	key := fmt.Sprintf("sp:{%s}:ts:texts", t)
	p := s.redis.Pipeline()
	p.SetArgs(ctx, key, 0, redis.SetArgs{Mode: "NX", TTL: countedFor})
	n := p.Incr(ctx, key)
	if err := run(ctx, p); err != nil {
		return 0, unavailable("count text messages", err)
	}
	return n.Val(), unavailable("count text messages", n.Err())
}
