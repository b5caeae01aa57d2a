package deviceapi

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/tokensvc/store"
)

// Challenges is what Redis keeps of challenges.
type Challenges interface {
	PendingChallenge(ctx context.Context, t sallyport.TenantID, d sallyport.DeviceID) (*store.Status, error)
	AnswerChallenge(ctx context.Context, t sallyport.TenantID, d sallyport.DeviceID, id sallyport.ChallengeID, sealed []byte) error
}

func (s *Server) challenges(c echo.Context) error {
	wait, err := waitTime(c)
	if err != nil {
		return err
	}
	a, err := s.enrolled(c, nil)
	if err != nil {
		return err
	}
	leave, err := s.waiting.enter(string(a.Device))
	if err != nil {
		return err
	}
	defer leave()
	out := deviceproto.PendingList{Challenges: []deviceproto.Pending{}}
	ctx := c.Request().Context()
	err = s.until(ctx, store.DeviceTopic(a.Tenant, a.Device), wait, func() (bool, error) {
		st, err := s.cfg.Store.PendingChallenge(ctx, a.Tenant, a.Device)
		if err != nil || st == nil {
			return false, err
		}
		out.Challenges = append(out.Challenges, deviceproto.Pending{
			ID: st.Challenge.ID, RemainingMS: st.Remaining.Milliseconds(), Sealed: deviceproto.Encode(st.Challenge.Sealed),
		})
		return true, nil
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, out)
}

func (s *Server) answer(c echo.Context) error {
	id := c.Param("id")
	if !sallyport.ValidID(id) {
		return invalid("This is not a sign-in request.", nil)
	}
	b, err := body(c)
	if err != nil {
		return err
	}
	a, err := s.enrolled(c, b)
	if err != nil {
		return err
	}
	sealed, err := parseAnswer(b)
	if err != nil {
		return err
	}
	if err := s.cfg.Store.AnswerChallenge(c.Request().Context(), a.Tenant, a.Device, sallyport.ChallengeID(id), sealed); err != nil {
		return err
	}
	s.cfg.Log.Debug("sealed answer arrived", "step", 9, "challenge", id, "tenant", a.Tenant, "device", a.Device)
	return c.NoContent(http.StatusNoContent)
}

func parseAnswer(b []byte) ([]byte, error) {
	var in deviceproto.AnswerBody
	if err := decode(b, &in); err != nil {
		return nil, err
	}
	sealed, err := deviceproto.Decode(in.Sealed)
	if err != nil || len(sealed) == 0 || len(sealed) > deviceproto.MaxSealedAnswer {
		return nil, invalid("The answer must be 1 to 4096 octets in base64url.", err)
	}
	return sealed, nil
}
