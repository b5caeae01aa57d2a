package deviceproto

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/sealed"
)

// What is sealed is filled up with spaces to a multiple of these lengths, so that its length does
// not tell the token service who, where or what was decided.
const (
	textBlock   = 512
	answerBlock = 1024
)

// Account is what the device shows of an enrolment.
type Account struct {
	User       string `json:"user"`
	Enterprise string `json:"enterprise"`
}

// SealAccount seals, on the appliance, whom the device now belongs to.
func SealAccount(detailsKey sallyport.Key, device sallyport.DeviceID, a Account) ([]byte, error) {
	return sealJSON(detailsKey, a, accountAAD(device), MaxSealedAccount)
}

// OpenAccount opens it on the device. When it does not open, somebody else answered: the device
// forgets the enrolment.
func OpenAccount(detailsKey sallyport.Key, device sallyport.DeviceID, box []byte) (Account, error) {
	var a Account
	err := openJSON(detailsKey, box, accountAAD(device), MaxSealedAccount, &a)
	return a, err
}

// SealDetails seals, on the appliance, what the device is to show with a challenge. Names so long
// that the box would exceed MaxSealedDetails are an error.
func SealDetails(detailsKey sallyport.Key, device sallyport.DeviceID, id sallyport.ChallengeID, d sallyport.ChallengeDetails) ([]byte, error) {
	d.Time = d.Time.UTC().Truncate(time.Second)
	return sealJSON(detailsKey, d, challengeAAD(id, device), MaxSealedDetails)
}

// OpenDetails opens them on the device.
func OpenDetails(detailsKey sallyport.Key, device sallyport.DeviceID, id sallyport.ChallengeID, box []byte) (sallyport.ChallengeDetails, error) {
	var d sallyport.ChallengeDetails
	err := openJSON(detailsKey, box, challengeAAD(id, device), MaxSealedDetails, &d)
	return d, err
}

func accountAAD(device sallyport.DeviceID) []byte {
	return sealed.Fields("account", string(device))
}

func challengeAAD(id sallyport.ChallengeID, device sallyport.DeviceID) []byte {
	return sealed.Fields("challenge", string(id), string(device))
}

func answerAAD(id sallyport.ChallengeID, device sallyport.DeviceID) []byte {
	return sealed.Fields("answer", string(id), string(device))
}

func sealJSON(key sallyport.Key, v any, aad []byte, most int) ([]byte, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode for device: %w", err)
	}
	plain := fill(bytes.TrimRight(text.Bytes(), "\n"), textBlock)
	if len(plain)+sealed.Overhead > most {
		return nil, errors.New("text for the device is too long")
	}
	return sealed.Seal(key, plain, aad), nil
}

func openJSON(key sallyport.Key, box, aad []byte, most int, v any) error {
	if len(box) > most {
		return sealed.ErrOpen
	}
	plain, err := sealed.Open(key, box, aad)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(plain, v); err != nil {
		return fmt.Errorf("decode sealed text: %w", err)
	}
	return nil
}

// fill appends spaces up to a multiple of block.
func fill(b []byte, block int) []byte {
	missing := (block - len(b)%block) % block
	return append(b, bytes.Repeat([]byte{' '}, missing)...)
}
