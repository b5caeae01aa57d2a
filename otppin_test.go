package sallyport_test

import (
	"testing"

	"github.com/sallyport/sallyport"
)

func TestAPINIsOfDigitsAndNotTheFirstGuess(t *testing.T) {
	for pin, good := range map[sallyport.Secret]bool{
		"2580": true, "1235": true, "0001": true, "8231907764120953": true, "90123": true,
		"": false, "258": false, "82319077641209531": false, "25a0": false, "２５８０": false, " 2580": false,
		"0000": false, "1234": false, "23456": false, "9876": false, "77777777": false,
	} {
		if problem := sallyport.OTPPINProblem(pin); (problem == "") != good {
			t.Errorf("%q: %q", string(pin), problem)
		}
	}
}
