package store

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
)

const (
	// maxBatch is how many records one call may write.
	maxBatch = 1000
	// rowsAtOnce is how many rows one statement writes; the rest goes by smaller powers of two, so that
	// there are few different statements to prepare.
	rowsAtOnce = 32
)

func checkBatch(noun string, n int) error {
	if n > maxBatch {
		return invalidf("At most %d %s are written at once.", maxBatch, noun)
	}
	return nil
}

// insertRows writes rows of equal length: into is the statement up to VALUES, after what follows it.
func (e *engine) insertRows(ctx context.Context, tx *sql.Tx, into, after string, rows [][]any) error {
	for size := rowsAtOnce; len(rows) > 0; size /= 2 {
		for len(rows) >= size {
			if err := e.insertSome(ctx, tx, into, after, rows[:size]); err != nil {
				return err
			}
			rows = rows[size:]
		}
	}
	return nil
}

func (e *engine) insertSome(ctx context.Context, tx *sql.Tx, into, after string, rows [][]any) error {
	var text strings.Builder
	text.WriteString(into)
	text.WriteString(" VALUES ")
	args := make([]any, 0, len(rows)*len(rows[0]))
	for n, row := range rows {
		if n > 0 {
			text.WriteByte(',')
		}
		for i, value := range row {
			before := ","
			if i == 0 {
				before = "("
			}
			args = append(args, value)
			text.WriteString(before)
			text.WriteByte('$')
			text.WriteString(strconv.Itoa(len(args)))
		}
		text.WriteByte(')')
	}
	text.WriteByte(' ')
	text.WriteString(after)
	_, err := e.execIn(ctx, tx, text.String(), args...)
	return err
}

// b2i is how a boolean is kept.
func b2i(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
