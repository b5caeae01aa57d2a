package store

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport"
)

// fault is what an engine's error means to us.
type fault int

const (
	faultUnavailable fault = iota // the engine does not answer, or not now
	faultRetry                    // the transaction was undone for another's sake: run it again
	faultUnique                   // a key exists already
	faultInternal                 // a statement or a value of ours is wrong, or the file is damaged
)

// failure turns an engine's error into one with a code; nil and errors that have a code stay as
// they are.
func (e *engine) failure(doing string, err error) error {
	var known *sallyport.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.Is(err, sql.ErrNoRows):
		return sallyport.Errorf(sallyport.CodeNotFound, "This does not exist, or no longer.", fmt.Errorf("%s: %w", doing, err))
	}
	cause := fmt.Errorf("%s: %w", doing, err)
	switch e.classify(err) {
	case faultUnique:
		return sallyport.Errorf(sallyport.CodeConflict, "Somebody else saved the same at this moment. Look at it again, then try again.", cause)
	case faultInternal:
		return sallyport.Errorf(sallyport.CodeInternal, "The appliance's database refused this. The log has the cause.", cause)
	default:
		return sallyport.Errorf(sallyport.CodeUnavailable, "The appliance's database does not answer. Try again in a moment.", cause)
	}
}

func invalidf(format string, args ...any) error {
	return sallyport.Errorf(sallyport.CodeInvalid, fmt.Sprintf(format, args...), nil)
}

func conflictf(format string, args ...any) error {
	return sallyport.Errorf(sallyport.CodeConflict, fmt.Sprintf(format, args...), nil)
}

func notFound(noun string) error {
	return sallyport.Errorf(sallyport.CodeNotFound, "This "+noun+" does not exist, or no longer.", nil)
}

// closeAfter closes something that is of no use because of err.
func closeAfter(err error, closing func() error) error {
	if cerr := closing(); cerr != nil {
		return fmt.Errorf("%w (and close: %w)", err, cerr)
	}
	return err
}
