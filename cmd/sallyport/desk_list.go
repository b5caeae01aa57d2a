package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// alignedLines is how many lines of a table are held back to align their columns.
const alignedLines = 500

// list prints a list while it is read, so that a long one needs no memory: a JSON array for programs, else a
// table. each calls its argument with every element: as programs see it, and its cells.
func (t *task) list(head []string, each func(line func(v any, cells ...string) error) error) error {
	w := t.c.OutOrStdout()
	switch t.o.format {
	case "json":
		return listJSON(w, each)
	case "text":
		return listTable(w, head, each)
	}
	return t.show(nil, nil) // says what is wrong with the format
}

func listJSON(w io.Writer, each func(func(any, ...string) error) error) error {
	before := "[\n  "
	err := each(func(v any, _ ...string) error {
		text, err := json.MarshalIndent(v, "  ", "  ")
		if err != nil {
			return fmt.Errorf("encode element: %w", err)
		}
		_, err = fmt.Fprintf(w, "%s%s", before, text)
		before = ",\n  "
		return err
	})
	if err != nil {
		return err // the array stays open: nobody takes a part for the whole
	}
	end := "\n]\n"
	if before[0] == '[' {
		end = "[]\n"
	}
	_, err = io.WriteString(w, end)
	return err
}

func listTable(w io.Writer, head []string, each func(func(any, ...string) error) error) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	n := 0
	line := func(cells []string) error {
		for i, c := range cells {
			cells[i] = printable(c)
		}
		if _, err := fmt.Fprintln(t, strings.Join(cells, "\t")); err != nil {
			return err
		}
		if n++; n%alignedLines == 0 {
			return t.Flush()
		}
		return nil
	}
	err := line(head)
	if err == nil {
		err = each(func(_ any, cells ...string) error { return line(cells) })
	}
	if flushed := t.Flush(); err == nil {
		err = flushed
	}
	return err
}

// pages calls each with every element of what read gives page by page.
func pages[T any](read func(after string) (list []T, next string, err error), each func(T) error) error {
	for after := ""; ; {
		list, next, err := read(after)
		if err != nil {
			return err
		}
		for _, v := range list {
			if err := each(v); err != nil {
				return err
			}
		}
		if after = next; after == "" {
			return nil
		}
	}
}

// orNone is text in a table, where nothing at all would be overlooked.
func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// counted writes a number with its noun.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// byID is how things are called by their ids.
func byID[K ~string, T any](list []T, of func(T) (K, string)) map[K]string {
	out := make(map[K]string, len(list))
	for _, v := range list {
		id, name := of(v)
		out[id] = name
	}
	return out
}

// wrongWord is the error for a word that is none of those there are.
func wrongWord[T ~string](flag, word string, words ...T) error {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = string(w)
	}
	return &usageError{fmt.Errorf("--%s %q: use one of %s", flag, word, strings.Join(all, ", "))}
}
