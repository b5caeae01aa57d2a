package selfservice

import (
	"errors"

	"github.com/sallyport/sallyport"
)

// told is an error with a sentence of this page's own.
type told struct {
	key string
	err *sallyport.Error
}

func (t *told) Error() string { return t.err.Error() }

func (t *told) Unwrap() error { return t.err }

// tell makes an error that people are told of by the sentence of a key. The log has the key; what people read is in their language.
func tell(code sallyport.Code, key string, err error) error {
	e := &sallyport.Error{Code: code, Message: "self-service: " + key, Err: err}
	return &told{key, e}
}

func toldKey(err error) string {
	var t *told
	if errors.As(err, &t) {
		return t.key
	}
	return ""
}
