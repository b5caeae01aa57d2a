package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// searchedAtOnce is how many rows one page of a search by text looks at: there is no index for it.
const searchedAtOnce = 100_000

// timeline reads a table by time, the newest rows first.
type timeline[T any] struct {
	table string
	read  func(ctx context.Context, c *conditions, most int) ([]T, error)
	mark  func(T) *mark
	// search asks for rows that contain text.
	search func(c *conditions, text string)
}

// page reads up to most rows that meet c and contain text, after the mark (nil begins). The mark it
// returns asks for the next page; nil at the end.
func (l timeline[T]) page(ctx context.Context, s *Store, c *conditions, text string, after *mark, most int) ([]T, *mark, error) {
	bound := deadline
	if text != "" {
		bound = patiently
	}
	ctx, cancel := bound(ctx)
	defer cancel()
	if after != nil {
		c.add("(time, id) < (?, ?)", after.time, after.id)
	}
	var floor *mark
	if text != "" {
		var err error
		if floor, err = l.floor(ctx, s, c); err != nil {
			return nil, nil, err
		}
		if floor != nil {
			c.add("(time, id) >= (?, ?)", floor.time, floor.id)
		}
		l.search(c, text)
	}
	list, err := l.read(ctx, c, most+1)
	if err != nil || len(list) <= most {
		return list, floor, err
	}
	return list[:most], l.mark(list[most-1]), nil
}

// floor is the last row that a search looks at; nil when it looks at all.
func (l timeline[T]) floor(ctx context.Context, s *Store, c *conditions) (*mark, error) {
	var m mark
	err := s.engine.read.QueryRowContext(ctx, fmt.Sprintf(`SELECT time, id FROM %s%s ORDER BY time DESC, id DESC LIMIT 1 OFFSET %d`,
		l.table, c.where(), searchedAtOnce-1), c.args...).Scan(&m.time, &m.id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &m, s.engine.failure("search "+l.table, err)
}

// each calls fn with every row that meets what conditions makes, a thousand at a time.
func (l timeline[T]) each(ctx context.Context, s *Store, make func() *conditions, text string, fn func(T) error) error {
	for at := (*mark)(nil); ; {
		list, next, err := l.page(ctx, s, make(), text, at, maxPage)
		if err != nil {
			return err
		}
		for _, row := range list {
			if err := fn(row); err != nil {
				return err
			}
		}
		if next == nil {
			return nil
		}
		at = next
	}
}
