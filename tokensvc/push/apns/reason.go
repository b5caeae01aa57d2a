package apns

import (
	"fmt"
	"net/http"

	"github.com/sideshow/apns2"

	"github.com/sallyport/sallyport/tokensvc/push"
)

// staleToken reports whether Apple refused the provider token in a way that a new one may mend.
func (a answer) staleToken() bool {
	return a.StatusCode == http.StatusForbidden &&
		(a.Reason == apns2.ReasonExpiredProviderToken || a.Reason == apns2.ReasonInvalidProviderToken)
}

// result takes Apple's status and reason apart ("Handling notification responses from APNs").
func (a answer) result() push.Result {
	r := push.Result{Detail: fmt.Sprintf("APNs %d %s", a.StatusCode, a.Reason), RetryAfter: a.retryAfter}
	switch {
	case a.StatusCode == http.StatusOK:
		return push.Result{Outcome: push.Sent}
	case a.StatusCode == http.StatusGone, a.Reason == apns2.ReasonUnregistered, a.Reason == apns2.ReasonBadDeviceToken,
		a.Reason == apns2.ReasonExpiredToken, a.Reason == apns2.ReasonDeviceTokenNotForTopic:
		r.Outcome = push.Unregistered
	case a.StatusCode == http.StatusTooManyRequests:
		r.Outcome = push.Throttled
	case a.StatusCode == http.StatusForbidden, a.Reason == apns2.ReasonBadCertificateEnvironment:
		r.Outcome, r.Advice = push.Credential, advice(a.Reason)
	case a.StatusCode >= http.StatusInternalServerError:
		r.Outcome = push.Unavailable
	default:
		r.Outcome, r.Advice = push.Rejected, advice(a.Reason)
	}
	return r
}

func advice(reason string) string {
	switch reason {
	case apns2.ReasonExpiredProviderToken:
		return "set this host's clock: Apple finds the provider token older than an hour although it was just made"
	case apns2.ReasonInvalidProviderToken:
		return "check key id, team id and .p8 file against the Apple developer account, and whether the key was revoked there"
	case apns2.ReasonMissingProviderToken:
		return "configure the APNs signing key: the certificate was not accepted as a credential"
	case apns2.ReasonBadCertificate, apns2.ReasonForbidden:
		return "renew the APNs certificate in the Apple developer account and install it"
	case apns2.ReasonBadCertificateEnvironment:
		return "the certificate is for Apple's other environment: change the certificate or the APNs host"
	case apns2.ReasonBadTopic, apns2.ReasonMissingTopic, apns2.ReasonTopicDisallowed:
		return "set the APNs topic to the app's bundle id, one that this credential may send to"
	default:
		return "look the reason up in Apple's table of APNs responses"
	}
}
